// SPDX-License-Identifier: MIT
/** How Node.js runs this program: from bytecode, without an inspector, and without warnings about itself. */
import * as fs from 'node:fs';
import Module, { createRequire } from 'node:module';
import * as path from 'node:path';
import * as vm from 'node:vm';

// src/setup/bundle.ts prepares bundles, because finding, reading and compiling a hundred modules takes longer than most
// commands, and the bytecode of the TypeScript compiler.

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

/** Runs the module `entry`, a path without its ending: from its bundle, or the one beside it of that name, or else from its own file. */
export function runEntry(entry: string, require: NodeJS.Require, module: NodeJS.Module, name = path.basename(entry)): void {
  const bundle = bundleOf(path.join(path.dirname(entry), name));
  const source = read(bundle);
  if (source === null) return void require(entry);
  // Another version of Node does not take it, and compiles the source.
  const cachedData = read(bytecodeOf(bundle));
  const script = new vm.Script(source.toString('latin1'), { filename: bundle, ...(cachedData && { cachedData }) });
  (script.runInThisContext() as Bundle)(require, module, path.dirname(entry));
}

/** A module of CommonJS that is one large file, compiled. */
export function compileModule(file: string, cachedData: Buffer | null): vm.Script {
  return new vm.Script(Module.wrap(fs.readFileSync(file, 'utf8')), { filename: file, ...(cachedData && { cachedData }) });
}

/** What the module of such a script exports. */
export function runModule(script: vm.Script, file: string): object {
  const module = { exports: {} };
  type Wrapper = (exports: object, require: NodeJS.Require, module: object, filename: string, directory: string) => void;
  (script.runInThisContext() as Wrapper)(module.exports, createRequire(file), module, file, path.dirname(file));
  return module.exports;
}

/** Loads such a module with its bytecode, if there is any for this version of Node: TypeScript takes a third of the time then. */
export const loadWithBytecode = (file: string, bytecode: string): object => runModule(compileModule(file, read(bytecode)), file);
