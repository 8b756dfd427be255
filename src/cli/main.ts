#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program, and loads no more of it than the command needs, as far as the first word shows. `attach --daemon`
 * only waits for another process; `stats` and `list` spend nearly all of their time on starting.
 */
import * as path from 'node:path';

import { bundleFor, ignoreInspectorSignal, keepNodeQuiet, runEntry, sayKoffiIsMissing } from '../native/node';

ignoreInspectorSignal();
keepNodeQuiet();

const args = process.argv.slice(2);
const [command = ''] = args;

// Loaded where they are used: each file takes a millisecond.
const inBackground = () => require('./daemon') as typeof import('./daemon');
const background = () => require('./daemon-launcher') as typeof import('./daemon-launcher');
const output = () => require('../terminal/output') as typeof import('../terminal/output');
const streams = () => require('../native/standard-streams') as typeof import('../native/standard-streams');

// Node shows arguments that are not UTF-8, which the program refuses, with U+FFFD.
if (command === 'attach' && !args.some((arg) => arg.includes('\ufffd')) && inBackground().wantsBackground(args)) {
  const started = background().startInBackground();
  // The wait is long enough to load the modules that print.
  output();
  streams();
  void started
    .then((text) => output().tellMade(text))
    .catch((error) => {
      process.exitCode = output().reportError(error, args.includes('--debug'));
    })
    .then(() => streams().allNewsIsOut())
    .finally(() => process.exit());
} else {
  try {
    const program = path.join(__dirname, 'program');
    runEntry(program, require, module, bundleFor(program, command));
  } catch (error) {
    if (!sayKoffiIsMissing(error)) throw error;
    process.exitCode = 1;
  }
}
