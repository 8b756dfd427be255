// SPDX-License-Identifier: MIT
/** When the queue was stopped, over the last minute. */
import type { Stats } from '../datapath/stats';

export const MINUTE_MS = 60_000;

/** One character each: it ran, it was stopped all the time, it stopped and woke; nobody looked. */
export const RAN = '.';
export const STOPPED = '#';
export const WOKE = '+';
export const UNKNOWN = ' ';

interface Span {
  from: number;
  to: number;
  what: typeof RAN | typeof STOPPED | typeof WOKE;
}

export class Timeline {
  private spans: Span[] = [];

  /** What two readings tell of the time between them. */
  add(from: number, to: number, before: Stats['queue'], after: Stats['queue']): void {
    const woke = after.wakes > before.wakes;
    const what = woke ? WOKE : after.stopped || after.stops > before.stops ? STOPPED : RAN;
    this.spans = [...this.spans.filter((span) => span.to > to - MINUTE_MS), { from, to, what }];
  }

  /** The minute before `now` in so many columns, the newest on the right. */
  columns(now: number, width: number): string {
    const step = MINUTE_MS / width;
    const begin = now - MINUTE_MS;
    return Array.from({ length: width }, (_, i) => this.between(begin + i * step, begin + (i + 1) * step)).join('');
  }

  /** The worst that happened then. */
  private between(from: number, to: number): string {
    const there = this.spans.filter((span) => span.from < to && span.to > from).map(({ what }) => what);
    if (there.includes(WOKE) || (there.includes(STOPPED) && there.includes(RAN))) return WOKE;
    return there[0] ?? UNKNOWN;
  }
}
