// SPDX-License-Identifier: MIT
/**
 * Loads each object with this package, all in one process, and writes a line of JSON for each; the number of descriptors
 * that are open at the end must be that of the beginning.
 */
import { readdirSync, writeSync } from 'node:fs';

import { BpfError, BpfObject } from '../../src/index';

/** What became of an object. */
export interface Outcome {
  readonly path: string;
  readonly outcome: 'loaded' | 'open' | 'load';
  readonly code?: string;
  readonly message?: string;
}

function attempt(path: string): Outcome {
  let outcome: Outcome['outcome'] = 'open';
  try {
    using object = BpfObject.open(path);
    outcome = 'load';
    object.load();
    for (const name of object.mapNames) object.map(name).close();
    return { path, outcome: 'loaded' };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { path, outcome, code: error.code, message: error.message };
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** The first object loads what stays: libraries. */
const paths = process.argv.slice(2);
if (paths.length > 0) attempt(paths[0]!);
const before = descriptors();
for (const path of paths) {
  writeSync(2, `${path}\n`);
  writeSync(1, `${JSON.stringify(attempt(path))}\n`);
}
if (descriptors() !== before) throw new Error(`${descriptors() - before} descriptors are left open`);
