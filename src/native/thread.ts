// SPDX-License-Identifier: MIT
/** Entry of every thread: runs the module that its argument names (a path without ending), from its bundle if it has one. */
import { runEntry } from './node';

runEntry(process.argv[2] as string, require, module);
