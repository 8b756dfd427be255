// SPDX-License-Identifier: MIT
/** Made-up readings. */
import { type Refusal, REFUSALS } from '../../src/datapath/outcomes';
import type { Stats } from '../../src/datapath/stats';

/** One of an interface that nothing has passed yet. */
export const idleStats = (): Stats => statsOf(() => 0);

/** One in which no two numbers are equal. */
export function sampleStats(): Stats {
  let next = 1000;
  return statsOf(() => next++);
}

function statsOf(number: () => number): Stats {
  const refused = Object.fromEntries(Object.keys(REFUSALS).map((name) => [name, number()]));
  return {
    interface: 'vnet0',
    netns: 'lab',
    backend: 'veth',
    attach: 'tcx',
    state: 'stopped',
    pid: number(),
    tx: { packets: number(), bytes: number() },
    rx: { packets: number(), bytes: number() },
    queue: {
      capacityBytes: number(),
      usedBytes: number(),
      packets: number(),
      capacityPackets: number(),
      lowWatermarkBytes: number(),
      stopped: true,
      stops: number(),
      wakes: number(),
      queues: number(),
      largestFrame: number(),
    },
    held: { now: number(), total: number(), dropped: number(), again: number(), grants: number() },
    refused: refused as Record<Refusal, number>,
    hooks: { dropped: number(), injected: number(), errors: number() },
    poll: { polls: number(), budgetExhausted: number(), sleeps: number(), wakeups: number(), lostWakeups: number(), merged: number() },
    reinject: { retries: number(), errors: number() },
    impair: { waiting: number(), lost: number(), duplicated: number() },
    behind: { missing: number(), copies: number(), lost: number() },
    stray: number(),
  };
}
