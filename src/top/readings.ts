// SPDX-License-Identifier: MIT
/** What `top` keeps about each interface between readings: rates, history, and the figures by which rows are sorted. */
import type { Stats } from '../datapath/stats';
import { printable } from '../printable';

// The history of an interface, one entry for each interval; the newest is the last.

/** Activity of the transmit queue between two readings: never stopped, stopped all the time, or stopped and woke. */
export type QueueActivity = 'ran' | 'stopped' | 'woke';

export interface Sample {
  /** Bits a second. */
  tx: number;
  rx: number;
  queue: QueueActivity;
}

/** An entry is null where nothing is known. */
export type History = readonly (Sample | null)[];

/** Entries kept: more than the widest terminal shows. */
const KEPT = 1000;

export const sampleOf = ({ txBits, rxBits }: Rates, before: Stats['queue'], after: Stats['queue']): Sample => ({
  tx: txBits,
  rx: rxBits,
  queue: after.wakes > before.wakes ? 'woke' : after.stopped || after.stops > before.stops ? 'stopped' : 'ran',
});

/** The history with one more sample, which covers `intervals` intervals, at least one. */
export function extended(history: History, sample: Sample | null, intervals: number): History {
  const count = Math.min(KEPT, Math.max(1, Math.round(intervals)));
  return [...history, ...Array.from({ length: count }, () => sample)].slice(-KEPT);
}

/** The newest entries in `width` columns, the newest on the right; null where there are none yet. */
export const newest = (history: History, width: number): History =>
  Array.from({ length: width }, (_, column) => history[history.length - width + column] ?? null);

// Rates between two readings of one interface, per second.

export interface Rates {
  txPackets: number;
  txBits: number;
  rxPackets: number;
  rxBits: number;
  stops: number;
  wakes: number;
  polls: number;
  /** 0 to 1: the share of polls that used the budget up. */
  budgetUsedUp: number;
  /** Frames that did not come back, by reason; only reasons that have occurred. */
  drops: ReadonlyMap<string, number>;
}

/** Frames that have not come back since the interface was attached, by reason. */
export function dropsOf({ refused, held, hooks, impair, behind, stray }: Stats): Map<string, number> {
  return new Map([
    ...Object.entries(refused),
    ['held', held.dropped],
    ['hook', hooks.dropped],
    ['hook-waiting', hooks.lost],
    ['impair', impair.lost],
    ['behind', behind.lost],
    ['stray', stray],
  ]);
}

/** The rates between two readings `ms` milliseconds apart; null if counters went backwards or no time has passed. */
export function ratesBetween(before: Stats, after: Stats, ms: number): Rates | null {
  // Counters may go backwards, because a reading is not atomic, and another interface may have been attached under the
  // same identity. No rate is negative.
  if (!(ms > 0) || after.tx.packets < before.tx.packets) return null;
  const grown = (from: number, to: number): number => Math.max(0, to - from);
  const rate = (from: number, to: number): number => (grown(from, to) * 1000) / ms;
  const polls = grown(before.poll.polls, after.poll.polls);
  const usedUp = grown(before.poll.budgetExhausted, after.poll.budgetExhausted);
  const earlier = dropsOf(before);
  const drops = [...dropsOf(after)].map(([reason, count]): [string, number] => [
    reason,
    rate(earlier.get(reason) ?? 0, count),
  ]);
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

// Figures by which interfaces are sorted. They follow the readings slowly, so that rows do not keep changing places.

export const MEASURES = ['tx', 'rx', 'queue', 'drops'] as const;
export type Measure = (typeof MEASURES)[number];

interface Figure {
  /** A moving average. */
  mean: number;
  /** The value that is compared; it stays until the average has moved away from it. */
  shown: number;
}

export type Standing = Readonly<Record<Measure, Figure>>;

/** Time in milliseconds in which the average follows about two thirds of a change. */
const MEMORY_MS = 5000;
/** Two averages count as equal if their ratio is less than this. */
const SAME = 1.25;
/** Averages below this count as 0: packets a second, and the filled share of the queue. */
const NOTHING: Readonly<Record<Measure, number>> = { tx: 0.1, rx: 0.1, queue: 0.005, drops: 0.1 };

/** Filled share of the queue, from 0 to 1: of bytes or of frames, whichever is nearer to its limit. */
export function fillOf({ queue }: Stats): number {
  const packets = queue.capacityPackets === null ? 0 : queue.packets / queue.capacityPackets;
  return Math.min(1, Math.max(queue.usedBytes / queue.capacityBytes, packets));
}

function next(before: Figure | undefined, value: number, ms: number, nothing: number): Figure {
  if (!before) return { mean: value, shown: value };
  const mean = before.mean + (value - before.mean) * (1 - Math.exp(-ms / MEMORY_MS));
  if (mean < nothing) return { mean, shown: 0 };
  const stays = mean < before.shown * SAME && mean > before.shown / SAME;
  return { mean, shown: stays ? before.shown : mean };
}

/** The standing after another reading, `ms` milliseconds after the previous one. */
export function standingAfter(before: Standing | null, stats: Stats, rates: Rates | null, ms: number): Standing {
  const figure = (measure: Measure, value: number): Figure => next(before?.[measure], value, ms, NOTHING[measure]);
  return {
    tx: figure('tx', rates?.txPackets ?? 0),
    rx: figure('rx', rates?.rxPackets ?? 0),
    queue: figure('queue', fillOf(stats)),
    drops: figure('drops', rates ? sumOf(rates.drops) : 0),
  };
}

/** One interface at one moment. */
export interface Look {
  id: string;
  budget: number;
  whenFull: 'hold' | 'drop';
  stats: Stats;
}

export interface Row extends Look {
  /** Null until there are two readings. */
  rates: Rates | null;
  history: History;
  standing: Standing;
}

export interface Change {
  name: string;
  what: 'came' | 'went';
}

interface Known {
  at: number;
  row: Row;
}

/** The interface's name, with its namespace: `vnet0 in lab`. */
export const nameOf = ({ interface: iface, netns }: Stats): string =>
  printable(netns === null ? iface : `${iface} in ${netns}`);

export class Readings {
  private known = new Map<string, Known>();
  private first = true;

  /** @param intervalMs milliseconds between readings: the time that one entry of a history covers */
  constructor(private readonly intervalMs = 1000) {}

  /**
   * Adds a reading taken at `now`, in milliseconds. Returns the rows and, except for the first reading, which
   * interfaces came and went.
   */
  update(looks: readonly Look[], now: number): { rows: Row[]; changes: Change[] } {
    const there = new Set(looks.map(({ id }) => id));
    const gone = [...this.known].filter(([id]) => !there.has(id));
    // Departures first: an interface that was replaced goes and then comes.
    const changes = gone.map(([, { row }]): Change => ({ name: nameOf(row.stats), what: 'went' }));
    const rows = looks.map((look): Row => {
      const before = this.known.get(look.id);
      if (!before && !this.first) changes.push({ name: nameOf(look.stats), what: 'came' });
      return before
        ? this.continued(before, look, now)
        : { ...look, rates: null, history: [], standing: standingAfter(null, look.stats, null, 0) };
    });
    this.known = new Map(rows.map((row) => [row.id, { at: now, row }]));
    this.first = false;
    return { rows, changes };
  }

  private continued({ at, row }: Known, look: Look, now: number): Row {
    const ms = now - at;
    const rates = ratesBetween(row.stats, look.stats, ms);
    const sample = rates && sampleOf(rates, row.stats.queue, look.stats.queue);
    // The first rates replace the standing, which was computed without any.
    const standing = standingAfter(row.rates ? row.standing : null, look.stats, rates, ms);
    return { ...look, rates, history: extended(row.history, sample, ms / this.intervalMs), standing };
  }
}

// The orders in which the screen can show interfaces.

export const ORDERS = ['name', ...MEASURES] as const;
export type Order = (typeof ORDERS)[number];

export const nextOrder = (order: Order): Order => ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length] as Order;

/** Sorts by the slow figures, the largest first, and rows with equal figures by name, then by identity. */
export function sorted(rows: readonly Row[], order: Order): Row[] {
  const byName = (a: Row, b: Row): number =>
    nameOf(a.stats).localeCompare(nameOf(b.stats), 'en', { numeric: true }) || (a.id < b.id ? -1 : 1);
  if (order === 'name') return [...rows].sort(byName);
  return [...rows].sort((a, b) => b.standing[order].shown - a.standing[order].shown || byName(a, b));
}
