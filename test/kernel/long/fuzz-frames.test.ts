// SPDX-License-Identifier: MIT
/**
 * Random and mutated frames into vnet0: each is looped or counted by reason, and the kernel has
 * nothing to complain about. VNET_BPF_TEST_FRAMES=1000000 for the full run.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { law, type Stats } from '../../../src/datapath/stats';
import { attachedIn, cannotRun, SLOW, type Attached } from '../../helpers/cli';
import { macBytes, macOf } from '../../helpers/frames';
import { FrameFuzzer, LARGEST_BYTES } from '../../helpers/fuzz-frames';
import { watchKernelWarnings } from '../../helpers/kernel-warnings';
import { Messages } from '../../helpers/messages';
import * as native from '../../helpers/native-socket';
import { kernelCounters, ok, okIn, quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled } from '../../helpers/traffic';

/** In all modes together. */
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? scaled(100_000));
const BATCH = 64;
const PACKET_VNET_HDR = 15;

t.setTimeout((60_000 + FRAMES / 2) * SLOW);

/** A packet socket on the interface that only sends, each frame behind a virtio_net_hdr. */
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

async function sendAll(fd: number, fuzzer: FrameFuzzer, frames: number): Promise<Tally> {
  using messages = new Messages(BATCH, LARGEST_BYTES);
  const buffers = Array.from({ length: BATCH }, (_, i) => {
    const { buffer, byteOffset, byteLength } = messages.payload(i);
    return Buffer.from(buffer, byteOffset, byteLength);
  });
  const tally: Tally = { taken: 0, refused: new Map() };
  for (let left = frames; left > 0; ) {
    const count = Math.min(BATCH, left);
    left -= count;
    for (let i = 0; i < count; i++) messages.setLength(i, fuzzer.write(buffers[i] as Buffer));
    for (let from = 0; from < count; ) {
      const sent = messages.send(fd, from, count - from);
      if (sent === -native.EINTR) continue;
      if (sent > 0) tally.taken += sent;
      else {
        const name = native.errnoName(-sent);
        tally.refused.set(name, (tally.refused.get(name) ?? 0) + 1);
      }
      from += Math.max(1, sent); // the first of those left was refused: go on behind it
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return tally;
}

/**
 * The law to the packet. Behind `tx` the kernel throws away what it can neither segment nor
 * checksum: such a frame is missing in TX of `ip -s link`, and if it had to wait it never comes to
 * the room and is written off there, as held.dropped.
 */
function checkBalance(t: Test, nic: Attached, stats: Stats): void {
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'each frame was looped or is counted by reason');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  const kernel = kernelCounters(nic.netns, nic.iface);
  t.equal(kernel.rx, stats.rx.packets, 'rx here is what ip -s link says');
  t.ok(kernel.tx >= kernel.rx && kernel.tx <= stats.tx.packets, 'TX of ip -s link is between rx and tx');
}

async function fuzz(t: Test, args: readonly string[], frames: number): Promise<void> {
  const warnings = watchKernelWarnings();
  const random = Random.announced(t);
  // The stack answers some of them: ICMP errors, ARP replies. They go through the loop as well.
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--mtu', '65535', '--ring-size', '256K', ...args]);
  okIn(nic.netns, 'sysctl', ['-qw', 'net.ipv4.icmp_ratelimit=0']);
  const fuzzer = new FrameFuzzer(random, macBytes(macOf(nic.netns, nic.iface)), [10, 77, 0, 1]);
  const start = performance.now();
  const { taken, refused } = await sendAll(openSender(t, nic.netns, nic.iface), fuzzer, frames);
  const seconds = (performance.now() - start) / 1000;
  const after = await nic.atRest();
  const errors = [...refused].map(([name, count]) => `${name} ${count}`).join(', ');
  const reasons = Object.entries(after.refused).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(', ');
  t.comment(`${frames} frames in ${seconds.toFixed(1)} s: ${taken} taken by the kernel, not ${errors}`);
  t.comment(`tx ${after.tx.packets}, rx ${after.rx.packets}; refused: ${reasons || 'none'}; ${after.held.total} held, ${after.held.dropped} of them thrown away, ${after.queue.stops} stops`);
  t.ok(taken > frames / 10, 'the kernel took a good part of them');
  t.ok(after.tx.packets >= taken, 'tx counts every frame that the kernel took');
  t.equal(after.held.now, 0, 'nothing waits any more');
  t.equal(after.queue.stopped, false, 'the queue is awake');
  checkBalance(t, nic, after);
  t.same(warnings(), [], 'the kernel does not complain');
}

t.test('hold', { skip: cannotRun }, (t) => fuzz(t, [], FRAMES >>> 1));
t.test('drop', { skip: cannotRun }, (t) => fuzz(t, ['--when-full', 'drop'], FRAMES >>> 2));
t.test('hold with a queue of a few packets', { skip: cannotRun }, (t) => fuzz(t, ['--queue-packets', '4', '--budget', '2'], FRAMES >>> 2));
