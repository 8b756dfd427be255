// SPDX-License-Identifier: MIT
/**
 * The same seed does the same, and a named wire by rules is what it is by netem. By hand, here and in a guest, whose
 * kernel has netem:
 *
 *   run.ts --kernel 6.1 --tests test/kernel --match fault-engines --env VNET_BPF_TEST_RUNS=20
 *     --env VNET_BPF_TEST_PROFILES=all --env VNET_BPF_TEST_FRAMES=5000
 *
 * The comments are rows of a table: what was measured, of what was asked for.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { ControlClient } from '../../src/control/socket';
import { frameAccounting } from '../../src/datapath/stats';
import { impairingFaults } from '../../src/faults/impairment';
import type { Fault } from '../../src/faults/log';
import { readLog } from '../../src/faults/log-writer';
import { netemOptionsOf } from '../../src/impair/settings';
import { checkedWords, PROFILES } from '../../src/impair/words';
import { controlSocket, faultLogFiles } from '../../src/state/store';
import { attachedIn, attachmentOf, SLOW, type Attached } from '../helpers/cli';
import { ADDRESSES, atRest, delay, look } from '../helpers/loop';
import { connect, socketAddress } from '../helpers/native-socket';
import { okIn, quietNetns } from '../helpers/netns';
import { openDatagrams, ownHandshakes, OwnQuestions, readNow } from '../helpers/own-clients';
import { TEN_RULES } from '../helpers/ten-rules';
import { withoutQdisc } from '../helpers/qdisc';
import { cannotLoop } from '../helpers/supported';
import { freePort } from '../helpers/traffic';

t.setTimeout(600_000 * SLOW);

const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];
const RUNS = Number(process.env['VNET_BPF_TEST_RUNS'] ?? 2);
const PROFILE_NAMES = process.env['VNET_BPF_TEST_PROFILES'] === 'all' ? Object.keys(PROFILES) : ['3g'];
/** Datagrams for a loss, in SPAN_MS. */
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? 300);
const SPAN_MS = 1500;
/** Datagrams for a delay. */
const SINGLES = Math.max(25, FRAMES / 50);
/** How much of the time that it has missed a sender makes up for. */
const MISSED_MS = 10;
/** How long more is sent than a line takes, after its queue is full. */
const FLOOD_MS = 600;

async function ask(nic: Attached, order: { order: string; [name: string]: unknown }): Promise<unknown> {
  using client = await ControlClient.connect(controlSocket(attachmentOf(nic).id));
  return await client.ask(order, 10_000 * SLOW);
}

const setFaults = (nic: Attached, faults: object | null): Promise<unknown> =>
  ask(nic, { order: 'faults', document: faults && JSON.stringify(faults), file: null, seed: null });

const isAtRest = (nic: Attached): boolean => {
  const stats = look(nic);
  return stats.queue.packets === 0 && stats.hooks.waiting === 0 && frameAccounting(stats).balanced;
};

/** The log without what differs between runs. */
async function events(nic: Attached): Promise<string[]> {
  await ask(nic, { order: 'faults-report' }); // writes what waits
  return readLog(faultLogFiles(attachmentOf(nic).id))
    .map((line) => JSON.parse(line) as Fault)
    .map(({ rule, connection, n, from, frame, effect }) => `${rule} ${connection} ${n} ${from} ${frame}: ${effect}`)
    .sort();
}

t.test(`ten rules, eight clients at once: ${RUNS} runs with a seed are the same`, { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const [address] = ADDRESSES;
  const questions = new OwnQuestions(t, nic.netns, address, 53, 8);
  const run = async (seed: number): Promise<string[]> => {
    await atRest(nic); // what the last run has sent last is not to count
    await setFaults(nic, { seed, rules: TEN_RULES });
    await questions.ask(12, () => isAtRest(nic));
    await ownHandshakes(nic.netns, address, 80, 8);
    return events(nic);
  };
  const first = await run(7);
  t.ok(first.length > 30, `${first.length} faults`);
  t.ok(first.some((event) => event.includes('tcp')) && first.some((event) => event.includes('udp')), 'of both');
  for (let again = 1; again < RUNS; again++) t.same(await run(7), first, 'the same faults in each run');
  t.notSame(await run(8), first, 'others with another seed');
  t.ok(frameAccounting(await atRest(nic)).balanced, 'the frame accounting balances');
});

/** Datagrams one way, each with its number. */
class Numbered {
  private readonly sender: number;
  private readonly receiver: number;
  private readonly buffer = Buffer.alloc(2048);
  private sentAt: number[] = [];
  /** Milliseconds that each datagram took, and when it came, by number. */
  took: number[] = [];
  times: number[] = [];

  constructor(t: Test, netns: string, address: string) {
    const port = freePort();
    this.receiver = openDatagrams(t, netns, address, port);
    this.sender = openDatagrams(t, netns, address, freePort());
    connect(this.sender, socketAddress(address, port));
  }

  get sent(): number {
    return this.sentAt.length;
  }

  /** Sends `count` datagrams of that many bytes, one in `gapMs`, and waits until none is under way. */
  async run(count: number, bytes: number, gapMs: number, nic: Attached): Promise<void> {
    this.sentAt = [];
    this.took = [];
    this.times = [];
    let next = performance.now();
    for (let quiet = 0; quiet < 3; await delay(1)) {
      const now = performance.now();
      // What a busy machine has missed is not made up for at once: it would fill the queue.
      next = Math.max(next, now - MISSED_MS);
      const { sent } = this;
      for (; this.sent < count && next <= now && this.offer(bytes); next += gapMs);
      const moved = this.take() + this.sent - sent;
      quiet = this.sent >= count && moved === 0 && look(nic).impair.waiting === 0 && isAtRest(nic) ? quiet + 1 : 0;
    }
  }

  private offer(bytes: number): boolean {
    const datagram = Buffer.alloc(bytes);
    datagram.writeUInt32LE(this.sent);
    const at = performance.now();
    try {
      fs.writeSync(this.sender, datagram);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      return false;
    }
    this.sentAt.push(at);
    return true;
  }

  private take(): number {
    let count = 0;
    for (; readNow(this.receiver, this.buffer) !== null; count++) {
      const now = performance.now();
      this.took.push(now - (this.sentAt[this.buffer.readUInt32LE(0)] as number));
      this.times.push(now);
    }
    return count;
  }
}

interface Measured {
  delayMs: number;
  lost: number;
  sent: number;
  bitsPerSecond: number;
}

const HEADERS = 42;
const SMALL = 20;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

async function measure(t: Test, nic: Attached, name: string): Promise<Measured> {
  const { delay: late, rate } = netemOptionsOf(checkedWords(name), 1);
  const numbered = new Numbered(t, nic.netns, ADDRESSES[0]);
  const msOf = (bytes: number): number => ((bytes + HEADERS) / rate.bytes) * 1000;
  await numbered.run(3, SMALL, 5, nic); // an emulated machine takes seconds for the first
  // So rarely that no datagram has to wait for an earlier one with more jitter.
  await numbered.run(SINGLES, SMALL, Math.max(5, (2 * late.jitter) / 1e6 + 2, 2 * msOf(SMALL)), nic);
  const delayMs = median(numbered.took) - msOf(SMALL);
  const gap = Math.max(SPAN_MS / FRAMES, 2 * msOf(SMALL));
  await numbered.run(Math.min(FRAMES, Math.ceil((2 * SPAN_MS) / gap)), SMALL, gap, nic);
  const { sent } = numbered;
  const lost = sent - numbered.times.length;
  const bytes = rate.bytes < 1e5 ? 200 : 1400;
  const perFrame = msOf(bytes);
  const queueMs = Number(/queue (\d+)ms/.exec(PROFILES[name]?.words ?? '')?.[1]);
  const gapOfFlood = perFrame / 2;
  await numbered.run(Math.ceil((FLOOD_MS + queueMs * 2) / gapOfFlood), bytes, gapOfFlood, nic);
  const { times } = numbered;
  const bitsPerSecond =
    ((times.length - 1) * (bytes + HEADERS) * 8) / (((times.at(-1) as number) - (times[0] as number)) / 1000);
  return { delayMs, lost, sent, bitsPerSecond };
}

t.test('named wires by netem and by rules of faults', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  // The neighbour is known, because a lost ARP packet would lose everything.
  okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
  const engines = [
    ...(withoutQdisc('netem') ? [] : ['netem']),
    'rules', // what `impair` does without netem
  ];
  for (const name of PROFILE_NAMES) {
    const words = checkedWords(name);
    const { delay: late, rate } = netemOptionsOf(words, 1);
    const [, chance = '0', bursts] = /loss ([\d.]+)%( \d+%)?/.exec(PROFILES[name]?.words ?? '') ?? [];
    const p = Number(chance) / 100;
    for (const engine of engines) {
      if (engine === 'netem') await ask(nic, { order: 'impair', words });
      else await setFaults(nic, impairingFaults(words, 7).faults);
      const { delayMs, lost, sent, bitsPerSecond } = await measure(t, nic, name);
      if (engine === 'netem') await ask(nic, { order: 'impair', words: null });
      else await setFaults(nic, null);
      const asked = [late.time / 1e6, rate.bytes * 8] as const;
      t.comment(
        `| \`${name}\` | ${engine} | ${delayMs.toFixed(1)} of ${asked[0]} ms | ${((lost / sent) * 100).toFixed(2)} of ${chance} %, ${sent} frames | ${(bitsPerSecond / 1e6).toPrecision(4)} of ${asked[1] / 1e6} mbit |`,
      );
      // The median of SINGLES has a deviation of its own.
      const slack = 3 + (late.jitter / 1e6) * 0.8;
      t.ok(delayMs > asked[0] - slack, `${name} by ${engine}: ${delayMs} ms, at least ${asked[0]} were asked for`);
      // An emulated machine stands still for longer, and sends less than a line takes.
      if (SLOW === 1) t.ok(delayMs < asked[0] + slack, `and no more: ${delayMs} ms`);
      const spread = 4 * Math.sqrt(sent * p * (1 - p) * (bursts ? 3 : 1)) + 3;
      t.ok(Math.abs(lost - sent * p) <= spread, `${lost} of ${sent} are lost, ${sent * p} were asked for`);
      t.ok(bitsPerSecond < asked[1] * 1.05, `${bitsPerSecond} bit/s, at most ${asked[1]} were asked for`);
      if (SLOW === 1) t.ok(bitsPerSecond > asked[1] * 0.9, `and no less: ${bitsPerSecond}`);
    }
  }
  t.ok(frameAccounting(await atRest(nic)).balanced, 'the frame accounting balances');
});
