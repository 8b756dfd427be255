// SPDX-License-Identifier: MIT
/** The program: `attach --daemon` starts itself again at once, everything else goes to the commands. */
import { startInBackground, wantsBackground } from './background';
import { print, reportError } from './output';
import { splitCommand } from './split-command';

// `vnet-bpf stats --watch | head`: the reader has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

async function main(args: readonly string[]): Promise<void> {
  try {
    if (wantsBackground(args)) print(await startInBackground());
    else await (require('./commands') as typeof import('./commands')).runCommandLine();
  } catch (error) {
    process.exitCode = reportError(error, splitCommand(args).own.includes('--debug'));
  }
}

void main(process.argv.slice(2));
