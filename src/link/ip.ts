// SPDX-License-Identifier: MIT
/**
 * Changes links, addresses, routes and rules through iproute2. Everything here acts on the network
 * namespace of the calling thread: wrap calls in Netns.run().
 */
import { VnetError } from '../errors';
import { command, tryCommand } from '../native/command';

/** Runs `ip` commands, one a line, in one process; stops at the first that fails. */
export function ipBatch(lines: readonly string[], family?: 4 | 6): void {
  if (lines.length === 0) return;
  command('ip', [...(family ? [`-${family}`] : []), '-batch', '-'], batchInput(lines));
}

/** The same, but goes on after one that fails, because its object is gone already. */
export function ipBatchIfPossible(lines: readonly string[], family?: 4 | 6): void {
  if (lines.length === 0) return;
  tryCommand('ip', [...(family ? [`-${family}`] : []), '-force', '-batch', '-'], batchInput(lines));
}

function batchInput(lines: readonly string[]): string {
  // What `ip -batch` reads as a comment, a quote or a new line could turn one command into another.
  const unsafe = lines.find((line) => /[#"'\\\n]/.test(line));
  if (unsafe !== undefined) throw new VnetError('COMMAND_FAILED', 'ip -batch', `will not pass on: ${JSON.stringify(unsafe)}`, { hint: 'give the interface another name' });
  return lines.join('\n') + '\n';
}

/** Runs one `ip` command that may fail because its object is gone already. */
export function ipIfPossible(args: readonly string[]): boolean {
  return tryCommand('ip', args).status === 0;
}
