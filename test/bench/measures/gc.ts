// SPDX-License-Identifier: MIT
/** Pauses of the garbage collector while packets flow: V8 prints them (--trace-gc) in a run of its own. */
import { spawn } from 'node:child_process';

import { ADDRESS, freshNetns, settleNeighbour } from '../namespace';
import { removable } from '../open-things';
import { IFACE } from '../systems/ours';
import type { Section, Values } from './measure';
import { flood, type UdpLoad } from './udp';

/** `[pid:isolate] 123 ms: Scavenge 5.2 (6.0) -> 4.9 (7.0) MB, 0.61 / 0.00 ms ...`; with or without `pooled`. */
const PAUSE = /\bms: (?:Scavenge|Mark-Compact|Minor)[^\n]*? MB,(?: pooled: [\d.]+ MB,)? ([\d.]+) \/ [\d.]+ ms/g;

/** Milliseconds of each pause in what V8 printed. */
export const pauses = (trace: string): number[] => [...trace.matchAll(PAUSE)].map((match) => Number(match[1]));

/** Loops a flood with the product in the foreground and reads what its V8 says meanwhile. */
export async function gc(main: string, load: UdpLoad): Promise<Values> {
  const { netns, remove } = freshNetns();
  // V8's flags hold for the whole process, the poller's thread included; NODE_OPTIONS does not take this one.
  const args = ['--trace-gc', main, 'attach', IFACE, '--netns', netns, '--addr', `${ADDRESS}/24`, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = removable(() => child.exitCode === null && child.signalCode === null && child.kill('SIGTERM'));
  const ended = new Promise((resolve) => child.on('close', resolve));
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.on('close', () => reject(new Error('vnet-bpf attach ended')));
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (/^[}\]]$/m.test(output)) resolve(); // the end of the document: it is ready
    });
  });
  settleNeighbour(netns, IFACE);
  const atStart = pauses(output);
  output = '';
  const { received } = await flood({ netns, iface: IFACE, pid: child.pid ?? null, close: async () => {} }, load);
  const underLoad = pauses(output);
  kill();
  await ended;
  remove();
  return {
    received: received as number,
    startPauses: atStart.length,
    startLongestMs: Math.max(0, ...atStart),
    pauses: underLoad.length,
    longestMs: Math.max(0, ...underLoad),
    totalMs: underLoad.reduce((sum, ms) => sum + ms, 0),
  };
}

export const GC: Section = {
  id: 'gc',
  title: 'Pauses of the garbage collector',
  value: { key: 'longestMs', heading: 'longest under load, ms', digits: 3 },
  more: [
    { key: 'pauses', heading: 'pauses under load' },
    { key: 'totalMs', heading: 'their sum, ms', digits: 3 },
    { key: 'received', heading: 'packets meanwhile', digits: 4 },
    { key: 'startPauses', heading: 'pauses at start' },
    { key: 'startLongestMs', heading: 'longest at start, ms', digits: 3 },
  ],
  baseline: null,
  plot: false,
};
