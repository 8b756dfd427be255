// SPDX-License-Identifier: MIT
/** Entry of the polling thread: starts worker.ts from its bundle, or else from its own file. */
import * as path from 'node:path';

import { runEntry } from '../native/node';

runEntry(path.join(__dirname, 'worker'), require, module);
