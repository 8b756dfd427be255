// SPDX-License-Identifier: MIT
/** The program: main.ts runs it, from one file that has all of it. */
import { runCommandLine } from './commands';
import { reportError } from './output';
import { splitCommand } from './split-command';

runCommandLine().catch((error: unknown) => {
  process.exitCode = reportError(error, splitCommand(process.argv.slice(2)).own.includes('--debug'));
});
