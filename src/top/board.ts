// SPDX-License-Identifier: MIT
/** What `top` knows of each interface from one reading to the next: rates, history, and the figures that order the rows. */
import type { Stats } from '../datapath/stats';
import { printable } from '../printable';
import { extended, sampleOf, type History } from './history';
import { ratesBetween, type Rates } from './rates';
import { standingAfter, type Standing } from './standing';

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

/** `vnet0 in lab`. */
export const nameOf = ({ interface: iface, netns }: Stats): string => printable(netns === null ? iface : `${iface} in ${netns}`);

export class Board {
  private known = new Map<string, Known>();
  private first = true;

  /** @param intervalMs how often it is looked, in milliseconds: what one entry of a history stands for */
  constructor(private readonly intervalMs = 1000) {}

  /** Takes in what there is now, at a time in milliseconds. Those that came and went are told, but for the first time. */
  update(looks: readonly Look[], now: number): { rows: Row[]; changes: Change[] } {
    const there = new Set(looks.map(({ id }) => id));
    const gone = [...this.known].filter(([id]) => !there.has(id));
    // First what went: an interface that was replaced has come.
    const changes = gone.map(([, { row }]): Change => ({ name: nameOf(row.stats), what: 'went' }));
    const rows = looks.map((look): Row => {
      const before = this.known.get(look.id);
      if (!before && !this.first) changes.push({ name: nameOf(look.stats), what: 'came' });
      return before ? this.continued(before, look, now) : { ...look, rates: null, history: [], standing: standingAfter(null, look.stats, null, 0) };
    });
    this.known = new Map(rows.map((row) => [row.id, { at: now, row }]));
    this.first = false;
    return { rows, changes };
  }

  private continued({ at, row }: Known, look: Look, now: number): Row {
    const ms = now - at;
    const rates = ratesBetween(row.stats, look.stats, ms);
    const sample = rates && sampleOf(rates, row.stats.queue, look.stats.queue);
    // The first rates say more than the nothing before them.
    const standing = standingAfter(row.rates ? row.standing : null, look.stats, rates, ms);
    return { ...look, rates, history: extended(row.history, sample, ms / this.intervalMs), standing };
  }
}
