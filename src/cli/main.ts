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

// Node shows arguments that are not UTF-8, which the program refuses, with U+FFFD.
const waits = command === 'attach' && !args.some((arg) => arg.includes('\ufffd')) && wantsBackground(args);

try {
  const entry = path.join(__dirname, waits ? 'wait-for-daemon' : 'program');
  runEntry(entry, require, module, waits ? undefined : bundleFor(entry, command));
} catch (error) {
  if (!sayKoffiIsMissing(error)) throw error;
  process.exitCode = 1;
}

/** Loaded only where it is used: a file takes a millisecond. */
function wantsBackground(args: readonly string[]): boolean {
  return (require('./daemon') as typeof import('./daemon')).wantsBackground(args);
}
