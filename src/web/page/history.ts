// SPDX-License-Identifier: MIT
/** What the charts show: one row for each reading of the last five minutes, as a column for each figure. */
import type { Stats } from '../../datapath/stats';
import { fillOf, ratesBetween, sumOf, type Rates } from '../../top/readings';

/** A reading, and when it was taken, in milliseconds since the epoch. */
export interface Taken {
  time: number;
  stats: Stats;
  latency: { p50: number; p99: number } | null;
}

/** Rates over a span of time that moves with the readings, so that figures do not flicker. */
export class MovingRates {
  private readings: { time: number; stats: Stats }[] = [];

  /** @param spanMs milliseconds between the two readings that are compared */
  constructor(private readonly spanMs: number) {}

  /** The rates up to this reading; null if there is no earlier one, or if it is of another attachment. */
  add(time: number, stats: Stats): Rates | null {
    const last = this.readings.at(-1);
    // Nothing is known of the time between two connections, and an interface that was attached again counts from 0.
    if (last && (time - last.time > GAP_MS || time <= last.time || stats.tx.packets < last.stats.tx.packets))
      this.readings = [];
    while (this.readings.length > 1 && time - (this.readings[1]?.time ?? time) >= this.spanMs) this.readings.shift();
    const first = this.readings[0];
    this.readings.push({ time, stats });
    return first ? ratesBetween(first.stats, stats, time - first.time) : null;
  }
}

/** Readings further apart than this are not connected by a line, in milliseconds. */
const GAP_MS = 2000;
/** The span of rates in charts, in milliseconds: short enough for a burst to show. */
const CHART_SPAN_MS = 300;
/** Rows kept: five minutes of ten readings a second. */
export const KEPT = 3000;

/** The figures of a row. Null where nothing is known. */
interface Figures {
  sent: number | null;
  returned: number | null;
  /** Filled share of the queue in percent. */
  fill: number;
  held: number;
  polls: number | null;
  /** Polls that used their budget up, in percent. */
  usedUp: number | null;
  lost: number | null;
  p50: number | null;
  p99: number | null;
  /** 1 if the queue was stopped at the reading, or has stopped since the one before. */
  stopped: number;
  /** 1 if the queue has woken since the reading before. */
  woke: number;
}

export type Figure = keyof Figures;

const FIGURES: readonly Figure[] = [
  'sent', 'returned', 'fill', 'held', 'polls', 'usedUp', 'lost', 'p50', 'p99', 'stopped', 'woke',
]; // prettier-ignore

type Column = (number | null)[];

export class History {
  /** Seconds since the epoch. */
  readonly times: number[] = [];
  private readonly columns = new Map<Figure, Column>(FIGURES.map((figure) => [figure, []]));
  private readonly rates = new MovingRates(CHART_SPAN_MS);
  private last: Taken | null = null;

  column(figure: Figure): Column {
    return this.columns.get(figure) as Column;
  }

  get length(): number {
    return this.times.length;
  }

  add(taken: Taken): void {
    const { last } = this;
    const { time, stats, latency } = taken;
    if (last && time <= last.time) return; // the clock was set back
    if (last && time - last.time > GAP_MS) this.push((last.time + 1) / 1000, () => null);
    const rates = this.rates.add(time, stats);
    const before = last && time - last.time <= GAP_MS ? last.stats.queue : stats.queue;
    const figures: Figures = {
      sent: rates && rates.txPackets,
      returned: rates && rates.rxPackets,
      fill: fillOf(stats) * 100,
      held: stats.held.now,
      polls: rates && rates.polls,
      usedUp: rates && rates.budgetUsedUp * 100,
      lost: rates && sumOf(rates.drops),
      p50: latency && latency.p50,
      p99: latency && latency.p99,
      stopped: Number(stats.queue.stopped || stats.queue.stops > before.stops),
      woke: Number(stats.queue.wakes > before.wakes),
    };
    this.push(time / 1000, (figure) => figures[figure]);
    this.last = taken;
  }

  /** The rows as they are now, to be shown while more are added to this one. */
  copy(): History {
    const copy = new History();
    copy.times.push(...this.times);
    for (const [figure, column] of this.columns) copy.column(figure).push(...column);
    return copy;
  }

  private push(time: number, valueOf: (figure: Figure) => number | null): void {
    this.times.push(time);
    for (const [figure, column] of this.columns) column.push(valueOf(figure));
    if (this.times.length <= KEPT) return;
    this.times.shift();
    for (const column of this.columns.values()) column.shift();
  }
}
