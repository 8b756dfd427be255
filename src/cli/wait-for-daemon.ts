// SPDX-License-Identifier: MIT
/**
 * The process of `attach --daemon` that waits, an entry of its own (src/setup/bundle.ts): it starts the background
 * process, and prints what that reports. What it takes to start comes on top of what the background process takes.
 */
import { allNewsIsOut } from '../native/standard-streams';
import { reportError, tellMade } from '../terminal/output';
import { startInBackground } from './daemon-launcher';

void startInBackground()
  .then(tellMade)
  .catch((error) => {
    process.exitCode = reportError(error, process.argv.includes('--debug'));
  })
  .then(allNewsIsOut)
  .finally(() => process.exit());
