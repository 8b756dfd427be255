// SPDX-License-Identifier: MIT
/**
 * What hold costs while nothing is full: bursts into two interfaces by turns, one that holds and
 * one that drops, with rings that take a whole burst. The sender has one processor and the poller
 * the other, and what came back is read between the bursts: anything else would measure the
 * scheduler. Fails when the median of the ratios, hold / drop, is not within 2 % of 1.
 * VNET_BPF_SOAK_PAIRS pairs (400).
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { attachmentOf, attachedIn, cannotRun, checkLaw, SLOW, type Attached } from '../helpers/cli';
import { LiveCounters } from '../helpers/live-counters';
import { Messages } from '../helpers/messages';
import * as native from '../helpers/native-socket';
import { ok, quietNetns } from '../helpers/netns';
import { withoutArp } from '../helpers/traffic';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);
const ADDRESS = '10.77.0.1';
const PORT = 20000;
const BYTES = 64;
const MESSAGES = 64;
/** Of 192 bytes each in the ring: less than it holds. */
const PACKETS = 320 * MESSAGES;
const RECEIVE_BUFFER_BYTES = 1 << 28;
/** The most by which the medians may differ. */
const TOLERANCE = 0.02;

t.setTimeout((PAIRS * 2_000 + 60_000) * SLOW);

/** An interface and the two ends of a flow through it. */
class Contestant {
  private readonly live: LiveCounters;
  private readonly sender: number;
  private readonly receiver: number;
  private readonly nic: Attached;

  constructor(t: Test, whenFull: 'hold' | 'drop') {
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--ring-size', '8M', '--when-full', whenFull]);
    withoutArp(nic, ADDRESS);
    ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '1', String(attachmentOf(nic).pid)]);
    this.live = new LiveCounters(t, nic);
    [this.sender, this.receiver] = [0, 0].map(() => native.openSocket(nic.netns, native.AF_INET, native.SOCK_DGRAM, 0)) as [number, number];
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
    for (let sent = 0; sent < PACKETS; ) {
      const count = messages.send(this.sender, 0, MESSAGES);
      if (count < 0) throw new Error(`sendmmsg: ${native.errnoName(-count)}`);
      sent += count;
    }
    while (this.live.get('drained') < end) if (performance.now() > start + 10_000) throw new Error('the burst did not come back');
    const seconds = (performance.now() - start) / 1000;
    return PACKETS / seconds;
  }

  /** Reads what came back; how many. */
  read(messages: Messages): number {
    for (let total = 0; ; ) {
      const count = messages.receive(this.receiver, native.MSG_DONTWAIT);
      if (count < 0) return total;
      total += count;
    }
  }

  async check(t: Test): Promise<void> {
    const after = await this.nic.atRest();
    t.equal(after.queue.stops, 0, 'nothing was full');
    checkLaw(t, this.nic, after);
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

t.test('hold against drop with nothing full', { skip: cannotRun }, async (t) => {
  ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '0', String(process.pid)]);
  const hold = new Contestant(t, 'hold');
  const drop = new Contestant(t, 'drop');
  using messages = new Messages(MESSAGES, BYTES);
  const rates = new Map([hold, drop].map((contestant) => [contestant, [] as number[]]));
  const ratios: number[] = [];
  let missing = 0;
  for (let pair = -5; pair < PAIRS; pair++) {
    const now = new Map<Contestant, number>();
    // Each goes first every other time: what drifts then cancels out.
    for (const contestant of pair % 2 === 0 ? [hold, drop] : [drop, hold]) {
      now.set(contestant, contestant.burst(messages));
      missing += PACKETS - contestant.read(messages);
    }
    if (pair < 0) continue; // warms both up
    for (const [contestant, rate] of now) rates.get(contestant)?.push(rate);
    ratios.push((now.get(hold) ?? NaN) / (now.get(drop) ?? NaN));
  }
  t.equal(missing, 0, 'everything came back');
  await hold.check(t);
  await drop.check(t);
  const ratio = median(ratios);
  t.comment(`medians of ${PAIRS} pairs: hold ${Math.round(median(rates.get(hold) ?? []))}, drop ${Math.round(median(rates.get(drop) ?? []))} packets/s; hold / drop ${ratio.toFixed(4)}`);
  t.ok(Math.abs(ratio - 1) <= TOLERANCE, `the same throughput within ${TOLERANCE * 100} %: ${ratio.toFixed(4)}`);
});
