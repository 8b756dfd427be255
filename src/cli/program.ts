// SPDX-License-Identifier: MIT
/** The program: main.ts runs it, from one file that has all of it. */
import { runCommandLine } from './commands';
import { fail } from './output';

runCommandLine().catch(fail);
