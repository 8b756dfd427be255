// SPDX-License-Identifier: MIT
/** Round trips of a 64-byte datagram and its answer: both pass the loop, one at a time. */
import { ADDRESS } from '../namespace';
import type { Stage } from '../systems/system';
import { runTool, startTool } from '../tool';
import type { Measure, Section, Values } from './measure';

const PORT = 11000;
const BACKGROUND_PORT = 12000;
/** Datagrams a second, and their size, that pass the loop besides. */
const BACKGROUND = { rate: 20_000, bytes: 512 };

interface RoundTrips {
  count: number;
  lost: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

async function pingPong({ netns }: Stage, seconds: number): Promise<Values> {
  const server = startTool(netns, 'ping-pong', ['server', ADDRESS, PORT]);
  await server.ready;
  const trips = await runTool<RoundTrips>(netns, 'ping-pong', ['client', ADDRESS, PORT, seconds]);
  server.stop();
  await server.result;
  return { ...trips };
}

async function withBackground(stage: Stage, seconds: number): Promise<Values> {
  const { rate, bytes } = BACKGROUND;
  const receiver = startTool(stage.netns, 'udp-receive', [ADDRESS, BACKGROUND_PORT]);
  await receiver.ready;
  const sender = startTool(stage.netns, 'udp-send', [ADDRESS, BACKGROUND_PORT, bytes, 1, seconds + 60, rate]);
  const values = await pingPong(stage, seconds);
  sender.stop();
  receiver.stop((JSON.parse(await sender.result) as { sent: number }).sent);
  await receiver.result;
  return values;
}

export const RTT: Section = {
  id: 'rtt',
  title: 'Round trip of a datagram and its answer, microseconds',
  value: { key: 'p50', heading: 'p50', digits: 3 },
  more: [
    { key: 'p99', heading: 'p99', digits: 3 },
    { key: 'p999', heading: 'p99.9', digits: 3 },
    { key: 'max', heading: 'longest', digits: 3 },
    { key: 'lost', heading: 'lost' },
  ],
  baseline: 'tap',
  plot: 'less is better',
};

export const RTT_IDLE = 'nothing else on the loop';
export const RTT_LOADED = `beside ${BACKGROUND.rate} datagrams/s of ${BACKGROUND.bytes} B`;

export const rttIdle = (seconds: number): Measure => ({
  section: RTT,
  load: RTT_IDLE,
  run: (stage) => pingPong(stage, seconds),
});
export const rttLoaded = (seconds: number): Measure => ({
  section: RTT,
  load: RTT_LOADED,
  run: (stage) => withBackground(stage, seconds),
});
