// SPDX-License-Identifier: MIT
/** The interfaces that are looked at: what is known of each from one reading to the next. */
import type { Stats } from '../datapath/stats';
import { printable } from '../printable';
import { ratesBetween, type Rates } from './rates';
import { Timeline } from './timeline';

/** One interface as it is now. */
export interface Look {
  id: string;
  budget: number;
  whenFull: 'hold' | 'drop';
  stats: Stats;
}

export interface Row extends Look {
  /** Null until there are two readings. */
  rates: Rates | null;
  /** The last minute in that many columns. */
  timeline(width: number): string;
}

export interface Change {
  name: string;
  what: 'came' | 'went';
}

interface Known {
  at: number;
  stats: Stats;
  timeline: Timeline;
}

/** `vnet0 in lab`. */
export const nameOf = ({ interface: iface, netns }: Stats): string => printable(netns === null ? iface : `${iface} in ${netns}`);

export class Board {
  private known = new Map<string, Known>();
  private first = true;

  /** Takes in what there is now, at a time in milliseconds. Those that came and went are told, but for the first time. */
  update(looks: readonly Look[], now: number): { rows: Row[]; changes: Change[] } {
    const next = new Map<string, Known>();
    const there = new Set(looks.map(({ id }) => id));
    const gone = [...this.known].filter(([id]) => !there.has(id));
    // First what went: an interface that was replaced has come.
    const changes = gone.map(([, { stats }]): Change => ({ name: nameOf(stats), what: 'went' }));
    const rows = looks.map((look): Row => {
      const before = this.known.get(look.id);
      const timeline = before?.timeline ?? new Timeline();
      if (before) timeline.add(before.at, now, before.stats.queue, look.stats.queue);
      else if (!this.first) changes.push({ name: nameOf(look.stats), what: 'came' });
      next.set(look.id, { at: now, stats: look.stats, timeline });
      const rates = before ? ratesBetween(before.stats, look.stats, now - before.at) : null;
      return { ...look, rates, timeline: (width) => timeline.columns(now, width) };
    });
    this.known = next;
    this.first = false;
    return { rows, changes };
  }
}
