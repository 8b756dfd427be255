// SPDX-License-Identifier: MIT
/** Runs the command that the arguments name. */
import { COMMANDS } from './commands';
import { parseCommandLine, type Request } from './parse';
import { splitCommand } from './split-command';

/** Rejects with what went wrong. */
export async function runCommandLine(): Promise<void> {
  // The command behind `--` is not ours to parse.
  const { own, command } = splitCommand(process.argv.slice(2));
  const request = parseCommandLine(COMMANDS, own);
  if (request.kind !== 'run') return help(request);
  await request.command.load()(request.args as never, command);
}

function help(request: Exclude<Request, { kind: 'run' }>): void {
  const { printHelp, versionCommand } = require('./help') as typeof import('./help');
  if (request.kind === 'version') versionCommand();
  else printHelp(request.command);
}
