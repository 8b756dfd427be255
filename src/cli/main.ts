#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program: from one file, with its bytecode, as src/setup/bundle.ts makes it, because finding, reading
 * and compiling a hundred modules takes longer than most commands; or else from its modules.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as vm from 'node:vm';

const BUNDLE = path.join(__dirname, 'bundle.js');

function read(file: string): Buffer | null {
  try {
    return fs.readFileSync(file);
  } catch {
    return null; // not made
  }
}

const source = read(BUNDLE);
if (source === null) {
  require('./program');
} else {
  const cachedData = read(`${BUNDLE}.cache`);
  const script = new vm.Script(source.toString('latin1'), { filename: BUNDLE, ...(cachedData && { cachedData }) });
  const run = script.runInThisContext() as (require: NodeJS.Require, module: NodeJS.Module, directory: string) => void;
  run(require, module, __dirname);
}
