// SPDX-License-Identifier: MIT
/** Runs the command that the arguments name. */
import { areUtf8, notUtf8 } from './arguments';
import { COMMANDS } from './commands';
import { reportError } from './output';
import { parseCommandLine, type Request } from './parse';
import { splitCommand } from './split-command';

/** Rejects with what went wrong. */
export async function runCommandLine(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.some((arg) => arg.includes('\ufffd')) && !areUtf8(args)) throw notUtf8();
  // The command behind `--` is not ours to parse.
  const { own, command } = splitCommand(args);
  const request = parseCommandLine(COMMANDS, own);
  if (request.kind !== 'run') return help(request);
  await request.command.load()(request.args as never, command);
}

function help(request: Exclude<Request, { kind: 'run' }>): void {
  const { printHelp, versionCommand } = require('./help') as typeof import('./help');
  if (request.kind === 'version') versionCommand();
  else printHelp(request.command, COMMANDS);
}

/** What this command line comes to when it fails: the error, in full where the user asked for `--debug`. */
export function fail(error: unknown): void {
  process.exitCode = reportError(error, splitCommand(process.argv.slice(2)).own.includes('--debug'));
}
