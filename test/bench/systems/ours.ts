// SPDX-License-Identifier: MIT
/** The product, attached by its command line as a user would. */
import { availableParallelism } from 'node:os';
import * as fs from 'node:fs';

import type { AttachmentDescription } from '../../../src/cli/list';
import { ok, run } from '../../helpers/netns';
import { ADDRESS, freshNetns, settleNeighbour } from '../namespace';
import { removable } from '../open-things';
import type { Stage, System } from './system';

export const IFACE = 'vnet0';

/** Runs a product's command line, given by its dist/cli/main.js; it has to succeed. */
export const vnetBpf = (main: string, args: readonly string[]): string => ok(process.execPath, [main, ...args]);

/** Attaches and settles the neighbour; `detach` detaches. */
export function attachProduct(
  main: string,
  netns: string,
  args: readonly string[],
): { pid: number; detach: () => void } {
  const where = [IFACE, '--netns', netns];
  const attached = JSON.parse(
    vnetBpf(main, ['attach', ...where, '--addr', `${ADDRESS}/24`, '--daemon', '--json', ...args]),
  ) as AttachmentDescription | AttachmentDescription[];
  const { pid } = Array.isArray(attached) ? (attached[0] as AttachmentDescription) : attached;
  const detach = removable(() => void run(process.execPath, [main, 'detach', ...where]));
  settleNeighbour(netns, IFACE);
  return { pid, detach };
}

/** At rest, every frame has to be accounted for: a system that loses count has no place in a comparison. */
export function requireBalance(main: string, netns: string): void {
  vnetBpf(main, ['stats', IFACE, '--netns', netns, '--check', '--json']);
}

/** Threads of a process that are bound to one CPU: its pollers. */
export function boundThreads(pid: number): number[] {
  if (availableParallelism() === 1) return [];
  return fs
    .readdirSync(`/proc/${pid}/task`)
    .filter((tid) => /^Cpus_allowed_list:\s*\d+$/m.test(fs.readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8')))
    .map(Number);
}

/** Moves a lone poller to a CPU; several pollers have been spread by the product. */
function bindPoller(pid: number, cpu: number): void {
  const [tid, ...more] = boundThreads(pid);
  if (tid !== undefined && more.length === 0) ok('taskset', ['--pid', '--cpu-list', String(cpu), String(tid)]);
}

/** The product at `main` (its dist/cli/main.js) with these options of `attach`. */
export function ours(name: string, main: string, args: readonly string[]): System {
  return {
    name,
    open: async (cpu): Promise<Stage> => {
      const { netns, remove } = freshNetns();
      const { pid, detach } = attachProduct(main, netns, args);
      bindPoller(pid, cpu);
      return {
        netns,
        iface: IFACE,
        pid,
        close: async () => {
          requireBalance(main, netns);
          detach();
          remove();
        },
      };
    },
  };
}
