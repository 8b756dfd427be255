// SPDX-License-Identifier: MIT
/**
 * Random and mutated frames are sent into vnet0: each is looped or counted by reason, a concurrent ping is answered,
 * and the kernel logs no warning: N1 of docs/SECURITY.md. VNET_BPF_TEST_FRAMES=1000000 for the full run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import t, { type Test } from 'tap';

import { frameAccounting, type Stats } from '../../../src/datapath/stats';
import { attachedIn, attachmentOf, cannotRun, SLOW } from '../../helpers/cli';
import { macBytes, macOf } from '../../helpers/frames';
import { FrameFuzzer, LARGEST_BYTES } from '../../helpers/fuzz-frames';
import { hookFile } from '../../helpers/hook-file';
import { watchKernelWarnings } from '../../helpers/kernel-warnings';
import { countersAtRest } from '../../helpers/loop';
import { Messages } from '../../helpers/messages';
import * as native from '../../helpers/native-socket';
import { inside, ok, okIn, quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled } from '../../helpers/traffic';

/** Number of frames in all modes together. */
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? scaled(40_000));
const BATCH = 64;
/**
 * Frames per second that a machine of two CPUs can loop beside the sender, so that the ping measures standstills and
 * not a full ring.
 */
const RATE = 5_000;
const ADDRESS = '10.77.0.1';
/** The source of FrameFuzzer's superpackets. */
const FUZZ_SOURCE = '10.77.0.2';
const PAUSE_EVERY_MS = 300;
const PAUSE_MS = 30;
/** Of whichever kind a frame is, all that it has; a wrong answer would be counted. */
const looks = (superpackets: 'segmented' | 'whole'): string => `
  const frame = (frame) => {
    for (const part of ['vlan', 'ipv4', 'ipv6', 'tcp', 'udp', 'arp', 'icmp', 'icmpv6']) for (const field in frame[part] ?? {}) void frame[part][field];
    return 'pass';
  };
  export default { frame, superpackets: '${superpackets}' };
`;
const PACKET_VNET_HDR = 15;

t.setTimeout((120_000 + FRAMES) * SLOW);

/** A packet socket on the interface that only sends, each frame after a virtio_net_hdr. */
function openSender(t: Test, netns: string, iface: string): number {
  const [link] = JSON.parse(ok('ip', ['-n', netns, '-json', 'link', 'show', 'dev', iface])) as [{ ifindex: number }];
  const fd = native.openSocket(netns, native.AF_PACKET, native.SOCK_RAW, 0);
  t.teardown(() => fs.closeSync(fd));
  native.setOption(fd, native.SOL_PACKET, PACKET_VNET_HDR, 1);
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, native.AF_PACKET, true);
  address.setInt32(4, link.ifindex, true);
  native.bind(fd, new Uint8Array(address.buffer));
  return fd;
}

interface Tally {
  taken: number;
  /** Refusals of sendto by errno: by the kernel before vnet0, or (ENOBUFS) by vnet0's queue. */
  refused: Map<string, number>;
}

async function sendAll(fd: number, fuzzer: FrameFuzzer, frames: number, tally: Tally): Promise<void> {
  using messages = new Messages(BATCH, LARGEST_BYTES);
  const buffers = Array.from({ length: BATCH }, (_, i) => {
    const { buffer, byteOffset, byteLength } = messages.payload(i);
    return Buffer.from(buffer, byteOffset, byteLength);
  });
  const start = performance.now();
  for (let left = frames; left > 0;) {
    const count = Math.min(BATCH, left);
    left -= count;
    for (let i = 0; i < count; i++) messages.setLength(i, fuzzer.write(buffers[i] as Buffer));
    for (let from = 0; from < count;) {
      // It must not block: this thread also sets a paused controller going again.
      const sent = messages.send(fd, from, count - from, native.MSG_DONTWAIT);
      if (sent === -native.EINTR) continue;
      if (sent === -native.EAGAIN) {
        await setTimeout(1);
        continue;
      }
      if (sent > 0) tally.taken += sent;
      else {
        const name = native.errnoName(-sent);
        tally.refused.set(name, (tally.refused.get(name) ?? 0) + 1);
      }
      from += Math.max(1, sent); // the first of the rest was refused: continue after it
    }
    await setTimeout(Math.max(0, ((frames - left) * 1000) / RATE - (performance.now() - start)));
  }
}

/**
 * The accounting balances to the packet. Behind `tx` the kernel drops what it can neither segment nor checksum: such a
 * frame is missing in TX of `ip -s link`, and if it had to wait, it never reaches the room and is written off as
 * held.dropped. A hook sees such a frame as plain bytes and lets it pass as such: then it is in RX alone.
 */
function checkBalance(t: Test, stats: Stats, kernel: { rx: number; tx: number }, hooked: boolean): void {
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'each frame was looped or is counted by reason');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  t.equal(kernel.rx, stats.rx.packets, 'rx here is what ip -s link says');
  t.ok(
    (hooked || kernel.tx >= kernel.rx) && kernel.tx <= stats.tx.packets,
    `TX of ip -s link, ${kernel.tx}, is between rx, ${kernel.rx}, and tx, ${stats.tx.packets}`,
  );
}

interface Mode {
  args: readonly string[];
  /** A part of all frames, in percent. */
  share: number;
  /** Stop the poller for a while, repeatedly. */
  pauses?: boolean;
  /** The longest median round trip of a ping. */
  pingMs?: number;
}

/** Stops the controller for PAUSE_MS repeatedly, until the returned function is called. */
function pauseNowAndThen(pid: number): () => Promise<void> {
  let ending = false;
  const ended = (async () => {
    while (!ending) {
      await setTimeout(PAUSE_EVERY_MS);
      process.kill(pid, 'SIGSTOP');
      await setTimeout(PAUSE_MS);
      process.kill(pid, 'SIGCONT');
    }
  })();
  return () => ((ending = true), ended);
}

/**
 * Pings the interface's address until the returned function is called, which returns the median of the round trips in
 * milliseconds and their number.
 */
function pingBeside(t: Test, netns: string): () => Promise<{ median: number; answers: number; requests: number }> {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  const child = spawn(nsenter, [...rest, 'ping', '-n', '-i', '0.05', ADDRESS], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const closed = once(child, 'close');
  return async () => {
    await setTimeout(200);
    child.kill('SIGINT');
    await closed;
    const times = [...output.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)).sort((a, b) => a - b);
    const requests = Number(/(\d+) packets transmitted/.exec(output)?.[1] ?? 0);
    // Requests without an answer are the slowest of all.
    return { median: times[requests >>> 1] ?? Infinity, answers: times.length, requests };
  };
}

async function fuzz(t: Test, { args, share, pauses = false, pingMs = 50 }: Mode): Promise<void> {
  const frames = Math.ceil((FRAMES * share) / 100);
  const warnings = watchKernelWarnings();
  const random = Random.announced(t);
  // The stack answers some of them: ICMP errors, ARP replies. They go through the loop as well.
  const nic = attachedIn(t, quietNetns(t), ['--type', 'veth', '--addr', `${ADDRESS}/24`, ...args]);
  okIn(nic.netns, 'sysctl', ['-qw', 'net.ipv4.icmp_ratelimit=0']);
  // It is asked for answers to superpackets: ARP would look for it for seconds.
  ok('ip', [
    '-n',
    nic.netns,
    'neigh',
    'replace',
    FUZZ_SOURCE,
    'lladdr',
    '02:02:02:02:02:02',
    'dev',
    nic.iface,
    'nud',
    'permanent',
  ]);
  const fuzzer = new FrameFuzzer(random, macBytes(macOf(nic.netns, nic.iface)), [10, 77, 0, 1]);
  const endPauses = pauses ? pauseNowAndThen(attachmentOf(nic).pid) : () => Promise.resolve();
  const start = performance.now();
  const tally: Tally = { taken: 0, refused: new Map() };
  const sender = openSender(t, nic.netns, nic.iface);
  // The time in which code is compiled while the first frames pass is not measured.
  await sendAll(sender, fuzzer, frames >>> 2, tally);
  const endPing = pingBeside(t, nic.netns);
  await sendAll(sender, fuzzer, frames - (frames >>> 2), tally);
  const seconds = (performance.now() - start) / 1000;
  await endPauses();
  const { median, answers, requests } = await endPing();
  const { stats: after, kernel } = await countersAtRest(nic);
  const errors = [...tally.refused].map(([name, count]) => `${name} ${count}`).join(', ');
  const reasons = Object.entries(after.refused)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  t.comment(`${frames} frames in ${seconds.toFixed(1)} s: ${tally.taken} taken by the kernel, not ${errors}`);
  t.comment(
    `tx ${after.tx.packets}, rx ${after.rx.packets}; refused: ${reasons || 'none'}; ${after.held.total} held, ${after.held.dropped} of them thrown away, ${after.queue.stops} stops`,
  );
  t.comment(`ping: ${answers} of ${requests} answered, ${median} ms at the median`);
  t.ok(tally.taken > frames / 10, 'the kernel took a good part of them');
  t.ok(after.tx.packets >= tally.taken, 'tx counts every frame that the kernel took');
  t.ok(median < pingMs * SLOW, 'a ping beside them is answered in good time');
  t.equal(after.held.now, 0, 'nothing waits any more');
  t.equal(after.queue.stopped, false, 'the queue is awake');
  checkBalance(t, after, kernel, args.includes('--hook'));
  t.same(warnings(), [], 'the kernel does not complain');
}

const SMALL_RING = ['--ring-size', '256K'];
const LARGE_MTU = ['--mtu', '65535', ...SMALL_RING];

t.test('N1: plain', { skip: cannotRun }, (t) => fuzz(t, { args: [], share: 20 }));
for (const superpackets of ['segmented', 'whole'] as const) {
  t.test(`N1: with a hook that looks at everything, superpackets: ${superpackets}`, { skip: cannotRun }, (t) =>
    fuzz(t, { args: ['--hook', hookFile(t, 'look.mjs', looks(superpackets))], share: 15 }),
  );
}
t.test('N1: hold, with a poller that pauses', { skip: cannotRun }, (t) =>
  fuzz(t, { args: SMALL_RING, share: 15, pauses: true }),
);
t.test('N1: hold, with a large MTU', { skip: cannotRun }, (t) => fuzz(t, { args: LARGE_MTU, share: 10 }));
t.test('N1: two queues', { skip: cannotRun }, (t) => fuzz(t, { args: ['--queues', '2'], share: 15 }));
t.test('N1: drop', { skip: cannotRun }, (t) => fuzz(t, { args: [...LARGE_MTU, '--when-full', 'drop'], share: 5 }));
t.test('N1: hold with a queue of a few packets', { skip: cannotRun }, (t) =>
  fuzz(t, { args: [...LARGE_MTU, '--queue-packets', '4', '--budget', '2'], share: 5, pingMs: 500 }),
);
