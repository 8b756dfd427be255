#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program: no more of it than the command needs, as far as that shows at a glance. `attach --daemon` only
 * waits for another process; who asks with `stats` or `list` waits for nothing but our start.
 */
import * as path from 'node:path';

import { ignoreInspectorSignal, keepNodeQuiet, runEntry, sayKoffiIsMissing } from '../native/node';

ignoreInspectorSignal();
keepNodeQuiet();

/** Commands with a bundle of their own, without the others (src/setup/bundle.ts). */
const BUNDLES: Partial<Record<string, string>> = { stats: 'list-stats', list: 'list-stats', attach: 'attach-detach', detach: 'attach-detach' };

const args = process.argv.slice(2);
const [command = ''] = args;

// Loaded where they are used: each file takes a millisecond.
const inBackground = () => require('./daemon') as typeof import('./daemon');
const background = () => require('./daemon-launcher') as typeof import('./daemon-launcher');
const output = () => require('../terminal/output') as typeof import('../terminal/output');
const streams = () => require('../native/standard-streams') as typeof import('../native/standard-streams');

// Arguments that are no UTF-8, which the program refuses, show as U+FFFD.
if (command === 'attach' && !args.some((arg) => arg.includes('\ufffd')) && inBackground().wantsBackground(args)) {
  const started = background().startInBackground();
  // It takes a while, in which what is printed with can be loaded.
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
    runEntry(path.join(__dirname, 'program'), require, module, BUNDLES[command]);
  } catch (error) {
    if (!sayKoffiIsMissing(error)) throw error;
    process.exitCode = 1;
  }
}
