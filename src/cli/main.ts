#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/** Starts the program. For `attach --daemon`, which only waits for another process, nothing else is loaded. */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';
import { startInBackground, wantsBackground } from './background';
import { print, reportError } from './output';
import { splitCommand } from './split-command';

const args = process.argv.slice(2);

function fail(error: unknown): void {
  process.exitCode = reportError(error, splitCommand(args).own.includes('--debug'));
}

if (wantsBackground(args)) startInBackground().then(print, fail);
else runEntry(path.join(__dirname, 'program'), require, module);
