// SPDX-License-Identifier: MIT
/** TCP throughput as iperf3 measures it, at the receiver. */
import { ADDRESS } from '../namespace';
import { netnsFile, startIn } from '../tool';
import type { Stage } from '../systems/system';
import { busySeconds } from './cpu';
import type { Measure, Values } from './measure';

interface Report {
  error?: string;
  end: { sum_received: { bits_per_second: number; bytes: number }; sum_sent: { retransmits: number } };
}

async function transfer({ netns }: Stage, streams: number, seconds: number): Promise<Values> {
  const server = startIn(netnsFile(netns), 'iperf3', ['--server', '--one-off', '--bind', ADDRESS, '--forceflush']);
  await listening(server.child.stdout);
  const busyBefore = busySeconds();
  const client = startIn(netnsFile(netns), 'iperf3', ['--client', ADDRESS, '--time', seconds, '--parallel', streams, '--json']);
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

export const tcp = (streams: number, seconds: number): Measure => ({
  id: `tcp-${streams}`,
  title: `TCP, ${streams === 1 ? 'one stream' : `${streams} streams`}`,
  main: 'gbps',
  unit: 'Gbit/s',
  better: 'more',
  columns: { retransmits: 'retransmits', cpuPerGigabyte: 'CPU s per GB' },
  run: (stage) => transfer(stage, streams, seconds),
});
