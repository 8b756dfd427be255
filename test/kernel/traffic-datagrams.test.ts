// SPDX-License-Identifier: MIT
/** Datagrams of every shape: segmented by the kernel, as large as a jumbo frame, in fragments. */
import t from 'tap';

import { passesUdpGso } from '../../src/requirements';
import { attached, BACK_END, checkAccounting, SLOW } from '../helpers/cli';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';
import { UdpPair } from '../helpers/udp-pair';

t.setTimeout(300_000 * SLOW);

const ADDRESSES = ['10.77.0.1', 'fd77::1'] as const;
const BOTH = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'] as const;
/** Headers of UDP over IPv4 and over IPv6. */
const headers = (address: string): number => 8 + (address.includes(':') ? 40 : 20);

t.test('UDP_SEGMENT: one send, many datagrams of the right sizes', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, BOTH);
  if (BACK_END === 'dummy' && !passesUdpGso()) {
    UdpPair.open(t, nic.netns, ADDRESSES[0]).send(10_000, { segment: 1000 });
    const stats = await nic.atRest();
    t.equal(stats.refused.gso, 1, 'nothing cuts it up on a dummy: it is refused, and counted');
    checkAccounting(t, nic, stats);
    return;
  }
  for (const address of ADDRESSES) {
    const pair = UdpPair.open(t, nic.netns, address);
    // A last segment that is shorter; one that is whole; tiny ones; as many as the kernel allows on 5.10.
    for (const [segment, bytes] of [
      [1400, 5 * 1400 + 123],
      [1000, 10_000],
      [1, 20],
      [1000, 60_000],
      [1452, 40 * 1452],
    ] as const) {
      const sent = pair.send(bytes, { segment });
      const sizes: number[] = [];
      for (let left = bytes; left > 0; left -= segment) sizes.push(Math.min(left, segment));
      const received = await pair.receive(sizes.length);
      t.same(
        received.map(({ length }) => length),
        sizes,
        `${address}: ${bytes} bytes in segments of ${segment}`,
      );
      t.ok(Buffer.concat(received).equals(sent), `${address}: what was sent is in them`);
    }
  }
  const stats = await nic.atRest();
  const { largestFrame } = stats.queue;
  if (passesUdpGso())
    t.ok(largestFrame > 50_000, `they crossed the ring unsegmented: the largest frame has ${largestFrame} bytes`);
  else t.equal(largestFrame, 1514, 'the kernel cut them up before the ring');
  checkAccounting(t, nic, stats);
});

t.test('an MTU of 9000: the largest datagram that fits, unfragmented', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, [...BOTH, '--mtu', '9000']);
  const raw = RawSocket.open(t, nic.netns, nic.iface);
  for (const address of ADDRESSES) {
    const pair = UdpPair.open(t, nic.netns, address);
    const bytes = 9000 - headers(address); // 8972 over IPv4
    const sent = pair.send(bytes, { dontFragment: true });
    t.ok((await pair.receive(1))[0]?.equals(sent), `${address}: ${bytes} bytes arrive`);
    t.equal(
      pair.trySend(bytes + 1, { dontFragment: true }).error,
      'EMSGSIZE',
      `${address}: one byte more is refused to the sender`,
    );
  }
  const frames = raw.captured().filter(({ direction, frame }) => direction !== 'outgoing' && frame.length === 9014);
  t.equal(frames.length, 2, 'vnet0 received two frames of 9000 bytes and the Ethernet header');
  const stats = await nic.atRest();
  t.equal(stats.queue.largestFrame, 9014, 'nothing larger passed the ring');
  checkAccounting(t, nic, stats);
});

t.test('60 KiB in one datagram: in fragments, whole at the end', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, BOTH);
  for (const address of ADDRESSES) {
    const pair = UdpPair.open(t, nic.netns, address);
    const before = nic.stats().rx.packets;
    const largest = 65535 - (address.includes(':') ? 8 : 28);
    for (const bytes of [60 << 10, 1473, largest]) {
      const sent = pair.send(bytes);
      t.ok((await pair.receive(1))[0]?.equals(sent), `${address}: ${bytes} bytes arrive whole`);
    }
    t.ok((await nic.atRest()).rx.packets - before >= 42 + 2 + 45, `${address}: they came in fragments`);
  }
  checkAccounting(t, nic, await nic.atRest());
});
