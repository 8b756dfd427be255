// SPDX-License-Identifier: MIT
/** Made-up interfaces for the tests of `top`. */
import type { Stats } from '../../src/datapath/stats';
import { Board, type Look, type Row } from '../../src/top/board';
import { sampleStats } from './sample-stats';

/** A reading that differs from the sample in what is given. */
export function reading(change: (stats: Stats) => void = () => undefined): Stats {
  const stats = sampleStats();
  stats.state = 'running';
  stats.queue = { ...stats.queue, capacityBytes: 1000, usedBytes: 0, packets: 0, capacityPackets: null, lowWatermarkBytes: 500, stopped: false };
  change(stats);
  return stats;
}

export const look = (id: string, change?: (stats: Stats) => void): Look => ({ id, budget: 64, whenFull: 'hold', stats: reading(change) });

/** Rows of three interfaces with rates. */
export function rowsOfThree(): Row[] {
  const board = new Board();
  const named = (name: string, change: (stats: Stats) => void = () => undefined): Look =>
    look(name, (stats) => {
      stats.interface = name;
      change(stats);
    });
  board.update(['vnet2', 'vnet10', 'vnet1'].map((name) => named(name)), 0);
  return board.update(
    [
      named('vnet2', (s) => (s.tx.packets += 5)),
      named('vnet10', (s) => {
        s.rx.packets += 9;
        s.queue.usedBytes = 900;
        s.queue.stopped = true;
        s.state = 'stopped';
      }),
      named('vnet1', (s) => (s.refused.down += 3)),
    ],
    1000,
  ).rows;
}
