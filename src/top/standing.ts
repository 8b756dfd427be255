// SPDX-License-Identifier: MIT
/** By what interfaces are ordered: figures that follow the readings slowly, so that rows do not change places all the time. */
import type { Stats } from '../datapath/stats';
import { sumOf, type Rates } from './rates';

export const MEASURES = ['tx', 'rx', 'queue', 'drops'] as const;
export type Measure = (typeof MEASURES)[number];

interface Figure {
  /** A moving average. */
  mean: number;
  /** What is compared: it stays until the average has moved away from it. */
  shown: number;
}

export type Standing = Readonly<Record<Measure, Figure>>;

/** Milliseconds in which the average takes in two thirds of a change. */
const MEMORY_MS = 5000;
/** Two averages whose ratio is less than this count as one. */
const SAME = 1.25;
/** Below it an average counts as 0: packets a second, and the part of the queue. */
const NOTHING: Readonly<Record<Measure, number>> = { tx: 0.1, rx: 0.1, queue: 0.005, drops: 0.1 };

/** 0 to 1: of bytes or of frames, whichever is nearer to the limit. */
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

/** The standing after one more reading; `ms` have passed since the one before. */
export function standingAfter(before: Standing | null, stats: Stats, rates: Rates | null, ms: number): Standing {
  const figure = (measure: Measure, value: number): Figure => next(before?.[measure], value, ms, NOTHING[measure]);
  return {
    tx: figure('tx', rates?.txPackets ?? 0),
    rx: figure('rx', rates?.rxPackets ?? 0),
    queue: figure('queue', fillOf(stats)),
    drops: figure('drops', rates ? sumOf(rates.drops) : 0),
  };
}
