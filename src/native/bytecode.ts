// SPDX-License-Identifier: MIT
/**
 * Starts a bundle of src/setup/bundle.ts: finding, reading and compiling a hundred modules takes longer than most
 * commands.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as vm from 'node:vm';

/** What a bundle is: a function of what Node gives to a module. */
export type Bundle = (require: NodeJS.Require, module: { exports: object }, directory: string) => void;

export const bundleOf = (entry: string): string => `${entry}.bundle.js`;
export const bytecodeOf = (bundle: string): string => `${bundle}.cache`;

function read(file: string): Buffer | null {
  try {
    return fs.readFileSync(file);
  } catch {
    return null; // not made
  }
}

/** Runs the module `entry`, a path without its ending: from its bundle, or else from its own file. */
export function runEntry(entry: string, require: NodeJS.Require, module: NodeJS.Module): void {
  const bundle = bundleOf(entry);
  const source = read(bundle);
  if (source === null) return void require(entry);
  // Another version of Node does not take it, and compiles the source.
  const cachedData = read(bytecodeOf(bundle));
  const script = new vm.Script(source.toString('latin1'), { filename: bundle, ...(cachedData && { cachedData }) });
  (script.runInThisContext() as Bundle)(require, module, path.dirname(entry));
}
