// SPDX-License-Identifier: MIT
/** What the polling thread starts with. */
import * as path from 'node:path';

import { runEntry } from '../native/bytecode';

runEntry(path.join(__dirname, 'poll-thread'), require, module);
