// SPDX-License-Identifier: MIT
/** What happened between two readings of one interface, per second. */
import type { Stats } from '../datapath/stats';

export interface Rates {
  txPackets: number;
  txBits: number;
  rxPackets: number;
  rxBits: number;
  stops: number;
  wakes: number;
  polls: number;
  /** 0 to 1: the part of the polls that found more than the budget. */
  budgetUsedUp: number;
  /** Frames that did not come back, by reason; only reasons that there were. */
  drops: ReadonlyMap<string, number>;
}

/** All that ends a frame, by reason, since the interface is there. */
export function dropsOf({ refused, held, hooks, impair, behind, stray }: Stats): Map<string, number> {
  return new Map([...Object.entries(refused), ['held', held.dropped], ['hook', hooks.dropped], ['impair', impair.lost], ['behind', behind.lost], ['stray', stray]]);
}

/** Null if they say nothing about a time: counters went back, or no time has passed. */
export function ratesBetween(before: Stats, after: Stats, ms: number): Rates | null {
  // A reading is not atomic, and another may have been attached under the same identity: nothing is negative.
  if (!(ms > 0) || after.tx.packets < before.tx.packets) return null;
  const grown = (from: number, to: number): number => Math.max(0, to - from);
  const rate = (from: number, to: number): number => (grown(from, to) * 1000) / ms;
  const polls = grown(before.poll.polls, after.poll.polls);
  const usedUp = grown(before.poll.budgetExhausted, after.poll.budgetExhausted);
  const earlier = dropsOf(before);
  const drops = [...dropsOf(after)].map(([reason, count]): [string, number] => [reason, rate(earlier.get(reason) ?? 0, count)]);
  return {
    txPackets: rate(before.tx.packets, after.tx.packets),
    txBits: rate(before.tx.bytes, after.tx.bytes) * 8,
    rxPackets: rate(before.rx.packets, after.rx.packets),
    rxBits: rate(before.rx.bytes, after.rx.bytes) * 8,
    stops: rate(before.queue.stops, after.queue.stops),
    wakes: rate(before.queue.wakes, after.queue.wakes),
    polls: rate(before.poll.polls, after.poll.polls),
    budgetUsedUp: polls === 0 ? 0 : Math.min(1, usedUp / polls),
    drops: new Map(drops.filter(([, perSecond]) => perSecond > 0)),
  };
}

export const sumOf = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0);
