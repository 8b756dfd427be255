// SPDX-License-Identifier: MIT
/**
 * Compares two interfaces by sending bursts into them in turn, with rings that take a whole burst. The sender has one
 * processor and the pollers have the other, and received frames are read between the bursts: anything else would
 * measure the scheduler.
 */
import * as fs from 'node:fs';

import type { Test } from 'tap';

import { attachedIn, attachmentOf, checkAccounting, type Attached } from './cli';
import { LiveCounters } from './live-counters';
import { Messages } from './messages';
import * as native from './native-socket';
import { ok, quietNetns } from './netns';
import { withoutArp } from './traffic';

const ADDRESS = '10.77.0.1';
const PORT = 20000;
const BYTES = 64;
const MESSAGES = 64;
/** Datagrams in a burst. Each takes 192 bytes in the ring, so all of them fit. */
const PACKETS = 320 * MESSAGES;
const RECEIVE_BUFFER_BYTES = 1 << 28;

/** An interface and the two ends of a flow through it. */
export class Contestant {
  private readonly live: LiveCounters;
  private readonly sender: number;
  private readonly receiver: number;
  readonly nic: Attached;

  constructor(t: Test, args: readonly string[]) {
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--ring-size', '8M', ...args]);
    withoutArp(nic, ADDRESS);
    ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '1', String(attachmentOf(nic).pid)]);
    this.live = new LiveCounters(t, nic);
    [this.sender, this.receiver] = [0, 0].map(() =>
      native.openSocket(nic.netns, native.AF_INET, native.SOCK_DGRAM, 0),
    ) as [number, number];
    native.setOption(this.receiver, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    native.bind(this.receiver, native.socketAddress(ADDRESS, PORT));
    native.connect(this.sender, native.socketAddress(ADDRESS, PORT));
    t.teardown(() => [this.sender, this.receiver].forEach((fd) => fs.closeSync(fd)));
    this.nic = nic;
  }

  /** Packets per second of one burst, from the first send until the ring is empty again. */
  burst(messages: Messages): number {
    const end = this.live.get('drained') + PACKETS;
    const start = performance.now();
    for (let sent = 0; sent < PACKETS;) {
      const count = messages.send(this.sender, 0, MESSAGES);
      if (count < 0) throw new Error(`sendmmsg: ${native.errnoName(-count)}`);
      sent += count;
    }
    while (this.live.get('drained') < end)
      if (performance.now() > start + 10_000) throw new Error('the burst did not come back');
    const seconds = (performance.now() - start) / 1000;
    return PACKETS / seconds;
  }

  /** Reads the datagrams that came back; returns their number. */
  read(messages: Messages): number {
    for (let total = 0; ;) {
      const count = messages.receive(this.receiver, native.MSG_DONTWAIT);
      if (count < 0) return total;
      total += count;
    }
  }

  async check(t: Test): Promise<void> {
    const after = await this.nic.atRest();
    t.equal(after.queue.stops, 0, 'nothing was full');
    checkAccounting(t, this.nic, after);
  }
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Medians of what was measured, such as packets per second. */
export interface Comparison {
  first: number;
  second: number;
  /** The median of the ratios of each pair, first / second. */
  ratio: number;
}

/** Measures two things in turn, after `warm` pairs that do not count. */
export async function inPairs(
  pairs: number,
  warm: number,
  measure: (which: 0 | 1) => number | Promise<number>,
): Promise<Comparison> {
  const values: [number[], number[]] = [[], []];
  for (let pair = -warm; pair < pairs; pair++) {
    const now: [number, number] = [NaN, NaN];
    // Each goes first every other time, so that drift cancels out.
    for (const i of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) now[i] = await measure(i);
    // What else this process does, such as reading a page, has its turn.
    await new Promise(setImmediate);
    if (pair >= 0) values.forEach((each, i) => each.push(now[i] as number));
  }
  const [first, second] = values;
  return {
    first: median(first),
    second: median(second),
    ratio: median(first.map((value, i) => value / (second[i] as number))),
  };
}

/** Sends `pairs` bursts into each interface in turn, and checks that everything came back. */
export async function compare(t: Test, pairs: number, first: Contestant, second: Contestant): Promise<Comparison> {
  ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '0', String(process.pid)]);
  using messages = new Messages(MESSAGES, BYTES);
  let missing = 0;
  const result = await inPairs(pairs, 5, (i) => {
    const contestant = [first, second][i] as Contestant;
    const rate = contestant.burst(messages);
    missing += PACKETS - contestant.read(messages);
    return rate;
  });
  t.equal(missing, 0, 'everything came back');
  await first.check(t);
  await second.check(t);
  return { ...result, first: Math.round(result.first), second: Math.round(result.second) };
}
