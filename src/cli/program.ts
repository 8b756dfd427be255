// SPDX-License-Identifier: MIT
/**
 * The program: checks the encoding of the arguments, parses them, runs the command and reports its failure. main.ts
 * starts it.
 */
import * as fs from 'node:fs';

import { usageError, type VnetError } from '../errors';
import { closeInherited, leaveOwnerAlone } from '../native/inherited';
import { allNewsIsOut } from '../native/standard-streams';
import { leaveTerminalOfOthers } from '../native/terminal';
import { reportError } from '../terminal/output';
import { ignoreHangup } from '../terminal/signals';
import { COMMANDS } from './commands';
import { callersNetns, READY_FD, takeBackground } from './daemon';
import { parseCommandLine, type Request, splitCommand } from './parse';

// Arguments that are not UTF-8: Node.js replaces their bytes with U+FFFD, which makes them meaningless.

/** Whether the arguments arrived unchanged: a user may mean U+FFFD itself. */
export function areUtf8(args: readonly string[]): boolean {
  const given = fs.readFileSync('/proc/self/cmdline');
  return args.every((arg) => given.includes(`\0${arg}\0`));
}

export const notUtf8 = (): VnetError =>
  usageError(
    'command line',
    'an argument is not UTF-8',
    'give the file or the namespace a name that is, such as by ln -s; a command of run may be in a script',
  );

// Running the command that the arguments name.

/** Runs the command line. Rejects with the command's error. */
export async function runCommandLine(): Promise<void> {
  const args = process.argv.slice(2);
  if (takeBackground()) {
    (require('../requirements') as typeof import('../requirements')).requireProc();
    closeInherited([READY_FD, callersNetns() ?? READY_FD]);
  }
  if (args.some((arg) => arg.includes('\ufffd')) && !areUtf8(args)) throw notUtf8();
  // The command after `--` is not parsed here.
  const { own, command: words } = splitCommand(COMMANDS, args);
  const request = parseCommandLine(COMMANDS, own);
  if (request.kind !== 'run') return help(request);
  await request.command.load()(request.args as never, { words, commands: COMMANDS });
}

function help(request: Exclude<Request, { kind: 'run' }>): void {
  const { printHelp, versionCommand } = require('./help') as typeof import('./help');
  if (request.kind === 'version') versionCommand();
  else printHelp(request.command ?? COMMANDS);
}

/** Reports the error of this command line, in full if the user gave `--debug`. */
export function fail(error: unknown): void {
  process.exitCode = reportError(error, splitCommand(COMMANDS, process.argv.slice(2)).own.includes('--debug'));
}

ignoreHangup();
leaveTerminalOfOthers();
leaveOwnerAlone();
void runCommandLine().catch(fail).then(allNewsIsOut);
