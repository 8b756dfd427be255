#!/usr/bin/env node
// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';

import { declarationsOf } from './codegen/declarations';
import { layoutOf } from './codegen/layout';
import { skeletonOf } from './codegen/skeleton';
import { BpfError } from './errors';
import { LibraryError } from './native/libbpf';
import { BpfObject } from './object';

interface Options {
  readonly name?: string;
  readonly embed?: boolean;
}

interface Command {
  readonly does: string;
  readonly options: readonly (keyof Options)[];
  textOf(object: BpfObject, path: string, options: Options): string;
}

const COMMANDS = new Map<string, Command>([
  [
    'generate',
    {
      does: 'a class with its programs, maps and global variables',
      options: ['name', 'embed'],
      textOf: (object, path, { name, embed }) =>
        skeletonOf(object, basename(path), {
          ...(name !== undefined && { className: name }),
          ...(embed && { embed: readFileSync(path) }),
        }),
    },
  ],
  ['types', { does: 'interfaces', options: [], textOf: (object, path) => declarationsOf(object.btf, basename(path)) }],
  [
    'layout',
    { does: 'offsets, sizes and enums', options: [], textOf: (object, path) => layoutOf(object.btf, basename(path)) },
  ],
]);

const USAGE = `usage: libbpf-ts ${[...COMMANDS.keys()].join('|')} OBJECT.bpf.o`;
const HELP = `${USAGE}

Prints TypeScript for what a BPF object shares with user space:

${[...COMMANDS].map(([name, { does }]) => `  ${name.padEnd(10)}${does}\n`).join('')}
Options of generate:
  --name CLASS  name of the class; by default that of the file
  --embed       put the object file into the text, so that open() needs no path`;

/** @returns undefined for wrong usage */
function parse(args: readonly string[]): { command: Command; path: string; options: Options } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { name: { type: 'string' }, embed: { type: 'boolean' } },
      allowPositionals: true,
    });
    const [name = '', path, ...rest] = positionals;
    const command = COMMANDS.get(name);
    if (!command || path === undefined || rest.length > 0) return undefined;
    const known: readonly string[] = command.options;
    if (!Object.keys(values).every((each) => known.includes(each))) return undefined;
    return { command, path, options: values };
  } catch {
    return undefined; // an unknown option
  }
}

/** @returns exit code: 1 for an object that cannot be read, 2 for wrong usage */
function main(args: readonly string[]): number {
  if (args.length === 1 && args[0] === '--help') {
    console.log(HELP);
    return 0;
  }
  const parsed = parse(args);
  if (!parsed) {
    console.error(USAGE);
    return 2;
  }
  const { command, path, options } = parsed;
  try {
    using object = BpfObject.open(path);
    process.stdout.write(command.textOf(object, path, options));
    return 0;
  } catch (error) {
    if (!(error instanceof BpfError) && !(error instanceof LibraryError)) throw error;
    console.error(`libbpf-ts: ${error.message}`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));
