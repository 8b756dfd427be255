// SPDX-License-Identifier: MIT
import { tryCommand } from '../native/command';

/**
 * Runs one `ip` command that may fail because its object is gone already, in the network namespace of the calling
 * thread: wrap calls in Netns.run().
 */
export function ipIfPossible(args: readonly string[]): boolean {
  return tryCommand('ip', args).status === 0;
}
