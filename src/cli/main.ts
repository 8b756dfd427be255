#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program: no more of it than the command needs, as far as that shows at a glance. `attach --daemon` only
 * waits for another process; who asks with `stats` or `list` waits for nothing but our start.
 */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';
import { ignoreInspectorSignal } from '../native/inspector';
import { keepNodeQuiet } from '../native/node-warnings';

ignoreInspectorSignal();
keepNodeQuiet();

/** Commands with a bundle of their own, without the others (src/setup/bundle.ts). */
const ENTRIES: Partial<Record<string, string>> = { stats: 'look', list: 'look', attach: 'loop', detach: 'loop' };

const args = process.argv.slice(2);
const [command = ''] = args;

// Loaded where they are used: each file takes a millisecond.
const inBackground = () => require('./in-background') as typeof import('./in-background');
const background = () => require('./background') as typeof import('./background');
const output = () => require('./output') as typeof import('./output');
const streams = () => require('../native/standard-streams') as typeof import('../native/standard-streams');
const argumentsModule = () => require('./arguments') as typeof import('./arguments');

if (args.some((arg) => arg.includes('\ufffd')) && !argumentsModule().areUtf8(args)) {
  output().fail(argumentsModule().notUtf8());
} else if (command === 'attach' && inBackground().wantsBackground(args)) {
  const started = background().startInBackground();
  // It takes a while, in which what is printed with can be loaded.
  output();
  streams();
  void started
    .then((text) => output().tellMade(text))
    .catch((error) => output().fail(error))
    .then(() => streams().allNewsIsOut())
    .finally(() => process.exit());
} else {
  try {
    runEntry(path.join(__dirname, ENTRIES[command] ?? 'program'), require, module);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'KOFFI_MISSING') throw error;
    // What prints errors needs it, too.
    process.stderr.write(`vnet-bpf: ${(error as Error).message.replace('; npm', '\nhint: npm')}\n`);
    process.exitCode = 1;
  }
}
