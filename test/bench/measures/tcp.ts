// SPDX-License-Identifier: MIT
/** TCP throughput as iperf3 measures it, at the receiver. */
import { ADDRESS } from '../namespace';
import type { Stage } from '../systems/system';
import { netnsFile, startIn } from '../tool';
import { busySeconds } from './cpu';
import type { Measure, Section, Values } from './measure';

interface Report {
  error?: string;
  end: { sum_received: { bits_per_second: number; bytes: number }; sum_sent: { retransmits: number } };
}

async function transfer({ netns }: Stage, streams: number, seconds: number): Promise<Values> {
  const server = startIn(netnsFile(netns), 'iperf3', ['--server', '--one-off', '--bind', ADDRESS, '--forceflush']);
  await listening(server.child.stdout);
  const busyBefore = busySeconds();
  const client = startIn(netnsFile(netns), 'iperf3', [
    '--client',
    ADDRESS,
    '--time',
    seconds,
    '--parallel',
    streams,
    '--json',
  ]);
  const report = JSON.parse(await client.result) as Report;
  const busy = busySeconds() - busyBefore;
  await server.result;
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  const { sum_received: received, sum_sent: sent } = report.end;
  return {
    gbps: received.bits_per_second / 1e9,
    retransmits: sent.retransmits,
    cpuPerGigabyte: (busy / received.bytes) * 1e9,
  };
}

/** iperf3 says that it listens; connecting earlier is refused. */
function listening(output: NodeJS.ReadableStream | null): Promise<void> {
  return new Promise((resolve) => output?.on('data', (data: Buffer) => data.includes('listening') && resolve()));
}

export const TCP: Section = {
  id: 'tcp',
  title: 'TCP, as iperf3 measures it',
  value: { key: 'gbps', heading: 'Gbit/s', digits: 4 },
  more: [
    { key: 'retransmits', heading: 'retransmits' },
    { key: 'cpuPerGigabyte', heading: 'CPU s per GB', digits: 3 },
  ],
  baseline: 'tap',
  plot: 'more is better',
};

export const tcpLoad = (streams: number): string => (streams === 1 ? 'one stream' : `${streams} streams`);

export const tcp = (streams: number, seconds: number, section = TCP): Measure => ({
  section,
  load: tcpLoad(streams),
  run: (stage) => transfer(stage, streams, seconds),
});
