// SPDX-License-Identifier: MIT
/** One interface with all its counters: what the card has, and what there was in all. */
import { bytes } from '../cli/output';
import { law, lostBehind } from '../datapath/stats';
import type { Row } from './board';
import { card } from './card';
import { dropsOf } from './rates';
import { part, short, type Line } from './text';

const SHOWN_REASONS = 6;

export function detail(row: Row): Line[] {
  const { stats } = row;
  const { tx, rx, queue, held, hooks, poll, reinject } = stats;
  const sums = law(stats);
  const line = (name: string, ...cells: string[]): Line => [part(`    ${name.padEnd(9)} ${cells.map((cell) => cell.padEnd(21)).join(' ').trimEnd()}`)];
  const many = (count: number, what: string): string => `${count} ${what}`;
  return [
    ...card(row, true),
    [],
    line('tx', many(tx.packets, 'packets'), bytes(tx.bytes)),
    line('rx', many(rx.packets, 'packets'), bytes(rx.bytes), `largest ${queue.largestFrame} B`),
    line('queue', many(queue.packets, 'packets'), bytes(queue.usedBytes), `wakes at ${bytes(queue.lowWatermarkBytes)}`),
    line('', many(queue.stops, 'stops'), many(queue.wakes, 'wakes'), queue.capacityPackets === null ? '' : `limit ${queue.capacityPackets} packets`),
    line('held', many(held.now, 'now'), many(held.total, 'in all'), many(held.dropped, 'lost')),
    line('poll', many(poll.polls, 'polls'), many(poll.budgetExhausted, 'over budget'), many(poll.merged, 'merged')),
    line('', many(poll.sleeps, 'sleeps'), many(poll.wakeups, 'wake-ups'), many(poll.lostWakeups, 'lost wake-ups')),
    line('hooks', many(hooks.injected, 'injected'), many(hooks.errors, 'errors'), `${reinject.retries} send retries`),
    line('law', many(sums.in, 'in'), many(sums.out, 'out'), verdict(stats)),
    ...dropLines(row),
  ];
}

/** `balanced` alone only if nothing was lost: what was is among the drops. */
function verdict(stats: Row['stats']): string {
  if (!law(stats).balanced) return 'frames in flight';
  return lostBehind(stats).length === 0 ? 'balanced' : 'balanced, with losses';
}

/** The reasons that there ever were, the most frequent first. */
function dropLines({ stats, rates }: Row): Line[] {
  const reasons = [...dropsOf(stats)].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return [[part('    drops     none')]];
  return reasons.slice(0, SHOWN_REASONS).map(([reason, count], i) => {
    const perSecond = rates?.drops.get(reason) ?? 0;
    const text = `    ${(i === 0 ? 'drops' : '').padEnd(9)} ${reason.padEnd(12)} ${String(count).padStart(14)} ${`${short(perSecond)}/s`.padStart(10)}`;
    return [part(text, perSecond > 0 ? 'bad' : 'plain')];
  });
}
