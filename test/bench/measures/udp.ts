// SPDX-License-Identifier: MIT
/** Datagrams from a blocking sender at full speed to a real socket through the loop, counted at both ends. */
import { ADDRESS } from '../namespace';
import type { Stage } from '../systems/system';
import { runTool, startTool } from '../tool';
import { watchBusy } from './cpu';
import type { Measure, Section, Values } from './measure';

/** Each run has a port of its own: what comes late must not be counted in the next one. */
let lastPort = 20000;

interface Sent {
  sent: number;
  refused: number;
  /** CLOCK_MONOTONIC, as lastNs. */
  startNs: number;
}

interface Received {
  received: number;
  lastNs: number;
  outOfOrder: number;
  strange: number;
  overflowed: number;
}

export interface UdpLoad {
  bytes: number;
  flows: number;
  seconds: number;
  /** Datagrams a second; 0: as fast as the socket takes them. */
  rate?: number;
}

/** Sends for `seconds` and waits until the last datagram has come. */
export async function flood(stage: Stage, { bytes, flows, seconds, rate = 0 }: UdpLoad): Promise<Values> {
  const port = (lastPort = lastPort === 59999 ? 20000 : lastPort + 1);
  const receiver = startTool(stage.netns, 'udp-receive', [ADDRESS, port]);
  await receiver.ready;
  const busyUntil = watchBusy();
  const endedEarly = receiver.result.then((said): never => {
    throw new Error(`udp-receive has ended before the sender: ${said}`);
  });
  const sent = await Promise.race([
    runTool<Sent>(stage.netns, 'udp-send', [ADDRESS, port, bytes, flows, seconds, rate]),
    endedEarly,
  ]);
  receiver.stop(sent.sent);
  const got = JSON.parse(await receiver.result) as Received;
  const busy = busyUntil(got.lastNs); // not the wait for what does not come
  return {
    // From the first send on: a receiver that gets the processor late must not look fast.
    pps: got.received / ((got.lastNs - sent.startNs) / 1e9),
    sent: sent.sent,
    received: got.received,
    lossPercent: (1 - got.received / sent.sent) * 100,
    overflowed: got.overflowed,
    outOfOrder: got.outOfOrder,
    cpuPerMillion: (busy / got.received) * 1e6,
  };
}

export const UDP: Section = {
  id: 'udp',
  title: 'UDP to a real socket',
  value: { key: 'pps', heading: 'delivered packets/s', digits: 4 },
  more: [
    { key: 'lossPercent', heading: 'lost, %', digits: 3 },
    { key: 'cpuPerMillion', heading: 'CPU s per million', digits: 3 },
    { key: 'outOfOrder', heading: 'out of order' },
  ],
  baseline: 'tap',
  plot: 'more is better',
};

/** The load in words, as tables have it. */
export const udpLoad = ({ bytes, flows }: Pick<UdpLoad, 'bytes' | 'flows'>): string =>
  `${bytes} B, ${flows === 1 ? 'one flow' : `${flows} flows`}`;

export const udp = (load: UdpLoad, section = UDP): Measure => ({
  section,
  load: udpLoad(load),
  run: (stage) => flood(stage, load),
});
