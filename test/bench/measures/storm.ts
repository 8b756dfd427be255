// SPDX-License-Identifier: MIT
/** What it costs when the queue stops and wakes all the time: a full-speed sender and a queue that is too small. */
import type { Stats } from '../../../src/datapath/stats';
import { vnetBpf } from '../systems/ours';
import type { Stage } from '../systems/system';
import type { Measure, Section, Values } from './measure';
import { flood, udpLoad, type UdpLoad } from './udp';

async function overload(main: string, stage: Stage, load: UdpLoad): Promise<Values> {
  const read = (): Stats =>
    JSON.parse(vnetBpf(main, ['stats', stage.iface, '--netns', stage.netns, '--json'])) as Stats;
  const before = read();
  const values = await flood(stage, load);
  const after = read();
  const stops = after.queue.stops - before.queue.stops;
  const held = after.held.total - before.held.total;
  return {
    ...values,
    stopsPerThousand: (stops / (values['received'] as number)) * 1000,
    heldPercent: (held / (values['received'] as number)) * 100,
  };
}

export const STORM: Section = {
  id: 'storm',
  title: 'Queues that stop and wake all the time',
  value: { key: 'pps', heading: 'delivered packets/s', digits: 4 },
  more: [
    { key: 'stopsPerThousand', heading: 'stops per 1000 packets', digits: 3 },
    { key: 'heldPercent', heading: 'held, %', digits: 3 },
    { key: 'lossPercent', heading: 'lost, %', digits: 3 },
    { key: 'cpuPerMillion', heading: 'CPU s per million', digits: 3 },
  ],
  baseline: 'default queue',
  plot: false,
};

export const storm = (main: string, load: UdpLoad): Measure => ({
  section: STORM,
  load: udpLoad(load),
  run: (stage) => overload(main, stage, load),
});
