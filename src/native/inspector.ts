// SPDX-License-Identifier: MIT
/**
 * Keeps Node from opening its inspector, through which any user of the machine could run code in this process: it
 * listens on 127.0.0.1:9229 after a SIGUSR1, which log rotation and operators send to daemons.
 */

/**
 * When to look whether a signal came before our first line: a short command has ended by then, and pays nothing. Node
 * carries such a signal out in three ways, the last of them in the event loop: what was closed before that opens again.
 */
const LOOK_MS = [300, 3000] as const;

/** Whether whoever started this process wants to debug it. */
const isWanted = (): boolean => [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(' ')].some((option) => /^--inspect(-brk|-wait)?(=|$)/.test(option));

/** From now on SIGUSR1 does nothing: Node leaves the signal to a listener where there is one. One that came before is undone. */
export function ignoreInspectorSignal(): void {
  process.on('SIGUSR1', () => undefined);
  if (isWanted()) return;
  for (const ms of LOOK_MS) setTimeout(() => setImmediate(closeInspector), ms).unref();
}

function closeInspector(): void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- takes a millisecond, which most commands need not pay
  const inspector = require('node:inspector') as typeof import('node:inspector');
  if (inspector.url() !== undefined) inspector.close();
}

/** Versions of Node that know --disable-sigusr1: 22.14, and 23.7 on. */
function canDisable(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 7) || (major === 22 && minor >= 14);
}

/**
 * Options for a Node that is started: for the time until its first line runs. Where it cannot be told so, the inspector
 * is given an address that no machine has (0.0.0.0/8 is no place to listen), so that it says so and does not open.
 */
export const withoutInspector = (): string[] => [canDisable() ? '--disable-sigusr1' : '--inspect-port=0.0.0.1:9229'];
