#!/usr/bin/env node
// SPDX-License-Identifier: MIT
import { basename } from 'node:path';
import { BpfError } from './errors';
import { LibraryError } from './native/libbpf';
import { BpfObject } from './object';
import { declarationsOf, layoutOf } from './typescript';

const USAGE = 'usage: libbpf-ts types|layout OBJECT.bpf.o';
const COMMANDS = new Map([
  ['types', declarationsOf],
  ['layout', layoutOf],
]);

/** @returns exit code: 1 for an object that cannot be read, 2 for wrong usage */
function main([command = '', path, ...rest]: readonly string[]): number {
  if (command === '--help') {
    console.log(USAGE);
    return 0;
  }
  const textOf = COMMANDS.get(command);
  if (textOf === undefined || path === undefined || rest.length > 0) {
    console.error(USAGE);
    return 2;
  }
  try {
    using object = BpfObject.open(path);
    process.stdout.write(textOf(object.btf, basename(path)));
    return 0;
  } catch (error) {
    if (!(error instanceof BpfError) && !(error instanceof LibraryError)) throw error;
    console.error(`libbpf-ts: ${error.message}`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));
