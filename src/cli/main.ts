#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/** Starts the program. For `attach --daemon`, which only waits for another process, nothing else is loaded. */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';
import { startInBackground, wantsBackground } from './background';
import { fail, print } from './output';

if (wantsBackground(process.argv.slice(2))) startInBackground().then(print, fail);
else runEntry(path.join(__dirname, 'program'), require, module);
