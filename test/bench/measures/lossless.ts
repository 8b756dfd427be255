// SPDX-License-Identifier: MIT
/** The highest rate of a paced sender at which nothing is lost: what a system that drops is good for. */
import type { Stage } from '../systems/system';
import type { Measure, Section, Values } from './measure';
import { flood, udpLoad, type UdpLoad } from './udp';

/** Halvings of the interval in which the rate is looked for. */
const STEPS = 6;
/** Lost datagrams that still count as none: of ten thousand, one. */
const TOLERATED_PERCENT = 0.01;

async function search(stage: Stage, load: UdpLoad): Promise<Values> {
  const unpaced = await flood(stage, load);
  let low = 0;
  // A sender at full speed takes processor time from the loop, so a paced one may get more through.
  let high = (unpaced['pps'] as number) * 3;
  let best: Values = { pps: 0, cpuPerMillion: NaN };
  for (let step = 0; step < STEPS; step++) {
    const rate = Math.round((low + high) / 2);
    const values = await flood(stage, { ...load, rate });
    if ((values['lossPercent'] as number) <= TOLERATED_PERCENT) {
      if ((values['pps'] as number) > (best['pps'] as number)) best = values;
      low = rate;
    } else {
      high = rate;
    }
  }
  return {
    pps: best['pps'] as number,
    cpuPerMillion: best['cpuPerMillion'] as number,
    unpacedPps: unpaced['pps'] as number,
  };
}

export const LOSSLESS: Section = {
  id: 'lossless',
  title: 'The highest rate without loss, UDP from a paced sender',
  value: { key: 'pps', heading: 'packets/s without loss', digits: 3 },
  more: [
    { key: 'unpacedPps', heading: 'delivered at full speed', digits: 3 },
    { key: 'cpuPerMillion', heading: 'CPU s per million', digits: 3 },
  ],
  baseline: 'tap',
  plot: false,
};

export const lossless = (load: UdpLoad): Measure => ({
  section: LOSSLESS,
  load: udpLoad(load),
  run: (stage) => search(stage, load),
});
