// SPDX-License-Identifier: MIT
/** What the readings of an interface have shown, one entry for each interval; the newest is the last. */
import type { Stats } from '../datapath/stats';
import type { Rates } from './rates';

/** What the transmit queue did between two readings: it was never stopped, stopped all the time, or stopped and woke. */
export type QueueActivity = 'ran' | 'stopped' | 'woke';

export interface Sample {
  /** Bits a second. */
  tx: number;
  rx: number;
  queue: QueueActivity;
}

/** Null where nothing is known. */
export type History = readonly (Sample | null)[];

/** Entries kept: more than the widest terminal shows. */
const KEPT = 1000;

export const sampleOf = ({ txBits, rxBits }: Rates, before: Stats['queue'], after: Stats['queue']): Sample => ({
  tx: txBits,
  rx: rxBits,
  queue: after.wakes > before.wakes ? 'woke' : after.stopped || after.stops > before.stops ? 'stopped' : 'ran',
});

/** The history with a sample that covers so many intervals, one at least. */
export function extended(history: History, sample: Sample | null, intervals: number): History {
  const count = Math.min(KEPT, Math.max(1, Math.round(intervals)));
  return [...history, ...Array.from({ length: count }, () => sample)].slice(-KEPT);
}

/** The newest entries in so many columns, the newest on the right; null where there are none yet. */
export const newest = (history: History, width: number): History =>
  Array.from({ length: width }, (_, column) => history[history.length - width + column] ?? null);
