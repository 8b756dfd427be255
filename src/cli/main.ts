#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program: no more of it than the command needs, as far as that shows at a glance. `attach --daemon` only
 * waits for another process; who asks with `stats` or `list` waits for nothing but our start.
 */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';
import { leaveMissingDirectory } from '../native/current-directory';
import { ignoreInspectorSignal } from '../native/inspector';

ignoreInspectorSignal();
leaveMissingDirectory();

/** Commands with a bundle of their own, without the others (src/setup/bundle.ts). */
const ENTRIES: Partial<Record<string, string>> = { stats: 'look', list: 'look', attach: 'loop', detach: 'loop' };

const args = process.argv.slice(2);
const [command = ''] = args;

// Loaded where they are used: each file takes a millisecond.
const inBackground = () => require('./in-background') as typeof import('./in-background');
const background = () => require('./background') as typeof import('./background');
const output = () => require('./output') as typeof import('./output');

if (command === 'attach' && inBackground().wantsBackground(args)) {
  background()
    .startInBackground()
    .then((text) => output().printMade(text))
    .catch((error) => output().fail(error))
    .finally(() => process.exit());
} else {
  runEntry(path.join(__dirname, ENTRIES[command] ?? 'program'), require, module);
}
