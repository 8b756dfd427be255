// SPDX-License-Identifier: MIT
/**
 * Loads each object with this package, all in one process, and writes a line of JSON for each, and its generated code
 * into a directory. Then loads them twice again, to see what stays in memory; not those that occupy the verifier for long.
 */
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';

import { BpfError, BpfObject, declarationsOf, layoutOf, skeletonOf } from '../../src/index';
import { nameOf } from './fetch';

/** What became of an object. */
export interface Outcome {
  readonly path: string;
  readonly outcome: 'loaded' | 'open' | 'load';
  /** Of the error. */
  readonly code?: string;
  readonly errno?: number;
  readonly message?: string;
  /** Why there is no generated code for an object that could be opened. */
  readonly notGenerated?: string;
  /** Descriptors that are open afterwards, and were not before. */
  readonly leaked: number;
}

/** What the process held after each pass. */
export interface Memory {
  /** Objects that were loaded three times. */
  readonly quick: number;
  readonly passes: readonly { readonly residentKb: number; readonly mappings: number }[];
}

function generate(object: BpfObject, path: string, directory: string): void {
  const [name, file] = [nameOf(path), basename(path)];
  writeFileSync(join(directory, `${name}.ts`), skeletonOf(object, file));
  // Without -g there are none.
  if (!hasTypes(object)) return;
  writeFileSync(join(directory, `${name}-types.ts`), declarationsOf(object.btf, file));
  try {
    writeFileSync(join(directory, `${name}-layout.ts`), layoutOf(object.btf, file));
  } catch (error) {
    if (!/shares neither structs nor enums/.test(String(error))) throw error;
  }
}

function hasTypes(object: BpfObject): boolean {
  try {
    return object.btf !== undefined;
  } catch {
    return false;
  }
}

function attempt(path: string, directory: string | undefined): Omit<Outcome, 'leaked'> {
  let outcome: Outcome['outcome'] = 'open';
  let generated: Pick<Outcome, 'notGenerated'> = {};
  try {
    using object = BpfObject.open(path);
    outcome = 'load';
    try {
      if (directory !== undefined) generate(object, path, directory);
    } catch (error) {
      generated = { notGenerated: String(error) };
    }
    object.load();
    for (const name of object.mapNames) object.map(name).close();
    for (const name of object.programNames) if (object.autoload(name)) object.program(name).close();
    return { path, outcome: 'loaded', ...generated };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    const { code, errno, message } = error;
    return { path, outcome, code, errno, message, ...generated };
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

function memory(): Memory['passes'][number] {
  global.gc?.();
  const [, residentKb] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  return { residentKb: Number(residentKb), mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').length };
}

const SLOW_MS = 400;

const [directory, ...paths] = process.argv.slice(2);
// The first object loads what stays: libraries.
if (paths.length > 0) attempt(paths[0]!, undefined);
const quick: string[] = [];
for (const path of paths) {
  writeSync(2, `${path}\n`);
  const before = descriptors();
  const start = performance.now();
  const outcome = attempt(path, directory);
  if (performance.now() - start < SLOW_MS) quick.push(path);
  writeSync(1, `${JSON.stringify({ ...outcome, leaked: descriptors() - before } satisfies Outcome)}\n`);
}
const passes = [memory()];
for (let pass = 0; pass < 2; pass++) {
  for (const path of quick) attempt(path, undefined);
  passes.push(memory());
}
writeSync(1, `${JSON.stringify({ quick: quick.length, passes } satisfies Memory)}\n`);
