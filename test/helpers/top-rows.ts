// SPDX-License-Identifier: MIT
/** Made-up interfaces for the tests of `top`. */
import type { Stats } from '../../src/datapath/stats';
import { type Look, Readings, type Row } from '../../src/top/readings';
import { sampleStats } from './sample-stats';

/** A sample reading with the given changes. */
export function reading(change: (stats: Stats) => void = () => undefined): Stats {
  const stats = sampleStats();
  stats.state = 'running';
  stats.queue = {
    ...stats.queue,
    capacityBytes: 1000,
    usedBytes: 0,
    packets: 0,
    capacityPackets: null,
    lowWatermarkBytes: 500,
    stopped: false,
  };
  change(stats);
  return stats;
}

/** A row with a history of that many intervals, whose rates go up and down and whose queue stops and wakes. */
export function rowWithHistory(id: string, intervals: number, change: (stats: Stats) => void = () => undefined): Row {
  const readings = new Readings(1000);
  let rows: Row[] = [];
  let bytes = 0;
  for (let i = 0; i <= intervals; i++) {
    bytes += (i % 7) * 1000;
    rows = readings.update(
      [
        look(id, (stats) => {
          stats.interface = id;
          for (const side of [stats.tx, stats.rx]) [side.bytes, side.packets] = [side.bytes + bytes, side.packets + i];
          [stats.queue.stops, stats.queue.wakes, stats.queue.stopped] = [
            Math.ceil(i / 3),
            Math.floor(i / 3),
            i % 3 !== 0,
          ];
          change(stats);
        }),
      ],
      i * 1000,
    ).rows;
  }
  return rows[0] as Row;
}

export const look = (id: string, change?: (stats: Stats) => void): Look => ({
  id,
  budget: 64,
  whenFull: 'hold',
  stats: reading(change),
});

/** Rows of three interfaces with rates. */
export function rowsOfThree(): Row[] {
  const readings = new Readings();
  const named = (name: string, change: (stats: Stats) => void = () => undefined): Look =>
    look(name, (stats) => {
      stats.interface = name;
      change(stats);
    });
  readings.update(
    ['vnet2', 'vnet10', 'vnet1'].map((name) => named(name)),
    0,
  );
  return readings.update(
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
