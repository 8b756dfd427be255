// SPDX-License-Identifier: MIT
/** TCP through the loop: whole, fast, and in superpackets. */
import t, { type Test } from 'tap';

import type { Stats } from '../../src/datapath/stats';
import { passesBigTcp } from '../../src/requirements';
import { Background } from '../helpers/background';
import { attached, attachedIn, BACK_END, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { ok, okIn, quietNetns } from '../helpers/netns';
import { cannotCarry } from '../helpers/supported';
import { scaled, tcpRun, withoutTools } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const GIB = 1 << 30;
/** Longer than any frame on a wire with a 9000-byte MTU: only a superpacket is. */
const LONGEST_WIRE_FRAME = 9018;
/** Longer than any whose IP header says how long it is: only BIG TCP is. */
const LARGEST_IP_FRAME = 14 + 65535;

/** Frames refused. Without a waiting room TCP may get an error because the queue is full, and sends them again. */
const refusedOf = ({ refused }: Stats): [string, number][] =>
  Object.entries(refused).filter(([why, count]) => count > 0 && !(BACK_END === 'dummy' && why === 'full'));

async function transfer(t: Test, nic: Attached, address: string, bytes: number): Promise<void> {
  const before = nic.stats();
  const { sent, received } = await tcpRun(t, nic.netns, address, bytes);
  t.comment(
    `${address}: ${bytes} bytes in ${sent.seconds.toFixed(2)} s: ${((bytes * 8) / sent.seconds / 1e9).toFixed(2)} Gbit/s`,
  );
  t.equal(received.bytes, bytes, `${address}: every byte arrived`);
  t.equal(received.sha256, sent.sha256, `${address}: equal SHA-256`);
  const after = await nic.atRest();
  t.ok(after.rx.bytes - before.rx.bytes >= bytes, `${address}: they went through the loop`);
  checkAccounting(t, nic, after);
}

t.test('1 GiB over IPv4, in superpackets', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24']);
  await transfer(t, nic, '10.77.0.1', scaled(GIB));
  const stats = nic.stats();
  const expected = BACK_END === 'veth' && passesBigTcp() ? LARGEST_IP_FRAME : LONGEST_WIRE_FRAME;
  t.ok(
    stats.queue.largestFrame > expected,
    `superpackets in the ring: the largest has ${stats.queue.largestFrame} bytes, more than ${expected}`,
  );
  t.same(refusedOf(stats), [], 'nothing was refused');
});

t.test('IPv6, in superpackets', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, ['--addr', 'fd77::1/64']);
  await transfer(t, nic, 'fd77::1', scaled(GIB / 4));
  const stats = nic.stats();
  t.ok(
    stats.queue.largestFrame > LONGEST_WIRE_FRAME,
    `superpackets in the ring: the largest has ${stats.queue.largestFrame} bytes`,
  );
  t.same(refusedOf(stats), [], 'nothing was refused');
});

t.test('MTUs from 9000 to 65535', { skip: cannotCarry() }, async (t) => {
  for (const mtu of ['9000', '32767', '65535']) {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--mtu', mtu]);
    await transfer(t, nic, '10.77.0.1', scaled(GIB / 16));
    t.same(refusedOf(nic.stats()), [], `${mtu}: nothing was refused`);
  }
});

t.test('without superpackets', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  // Not `ethtool -K`: the kernel would segment superpackets after the TC egress, and TX would count the segments. This
  // limit keeps TCP from making any.
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', nic.iface, 'gso_max_segs', '1']);
  await transfer(t, nic, '10.77.0.1', scaled(GIB / 16));
  const { largestFrame } = nic.stats().queue;
  t.ok(largestFrame <= 1514, `no frame is longer than the MTU: the largest has ${largestFrame} bytes`);
});

t.test('iperf3 for 5 seconds', { skip: cannotCarry() || withoutTools('iperf3') }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  for (const address of ['10.77.0.1', 'fd77::1']) {
    const server = Background.start(t, nic.netns, 'iperf3', [
      '--server',
      '--one-off',
      '--forceflush',
      '--bind',
      address,
    ]);
    await server.says(/Server listening/);
    const seconds = address.includes(':') ? '2' : '5';
    const report = JSON.parse(okIn(nic.netns, 'iperf3', ['--client', address, '--time', seconds, '--json'])) as {
      error?: string;
      end: {
        sum_received: { bytes: number; bits_per_second: number };
        sum_sent: { bytes: number; retransmits: number };
      };
    };
    const { sum_received: received, sum_sent: sent } = report.end;
    t.comment(`${address}: ${(received.bits_per_second / 1e9).toFixed(2)} Gbit/s, ${sent.retransmits} retransmits`);
    t.equal(report.error, undefined, `${address}: no error`);
    t.ok(received.bytes > 0, `${address}: bytes arrived`);
    await server.ended;
  }
  checkAccounting(t, nic, await nic.atRest());
});
