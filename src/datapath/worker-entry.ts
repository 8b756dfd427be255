// SPDX-License-Identifier: MIT
/** What the polling thread starts with. */
import * as path from 'node:path';

import { runEntry } from '../native/node';

runEntry(path.join(__dirname, 'worker'), require, module);
