#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/**
 * Starts the program: no more of it than the command needs, as far as that shows at a glance. `attach --daemon` only
 * waits for another process; who asks with `stats` or `list` waits for nothing but our start.
 */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';

const args = process.argv.slice(2);
const [command = ''] = args;

// Loaded where they are used: each file takes a millisecond.
const background = (): typeof import('./background') => require('./background');
const output = (): typeof import('./output') => require('./output');

if (command === 'attach' && background().wantsBackground(args)) {
  background()
    .startInBackground()
    .then((text) => output().print(text), (error) => output().fail(error));
} else {
  runEntry(path.join(__dirname, ['stats', 'list'].includes(command) ? 'look' : 'program'), require, module);
}
