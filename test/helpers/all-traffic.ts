// SPDX-License-Identifier: MIT
/**
 * All kinds of traffic, once each. Both ends of each flow are sockets of this process, because on an emulated machine
 * another process costs seconds.
 */
import type { Test } from 'tap';

import { passesUdpGso } from '../../src/requirements';
import { attachmentOf, SLOW, type Attached } from './cli';
import { differences, frameOf, from, macOf } from './frames';
import { ADDRESSES, exchange, look, WAIT_MS } from './loop';
import { inside, ok, run } from './netns';
import { setMtu } from './offloads';
import { OwnUdp, ownTcp } from './own-sockets';
import { RawSocket } from './raw-socket';

const SOURCE = '02:00:00:00:0e:01';
/** Longer than any frame with a 9000-byte MTU: only a superpacket is this long. */
const LONGEST_WIRE_FRAME = 9018;

/**
 * Number of datagrams for which the smallest ring has space: a dummy refuses frames if the poller waits for a
 * processor.
 */
const UNDER_WAY = 200;

/**
 * TCP makes superpackets of what it may send in a millisecond (tcp_tso_autosize in net/ipv4/tcp_output.c). With the
 * round trips of an emulated machine that can be two segments in one connection, and many in the next.
 */
const MORE_TRANSFERS = 8;

async function transfer(t: Test, netns: string, address: string): Promise<void> {
  const bytes = 2 << 20;
  const { sent, received } = await ownTcp(netns, address, bytes);
  t.equal(received.bytes, bytes, `TCP to ${address}: all bytes`);
  t.equal(received.sha256, sent.sha256, `TCP to ${address}: equal SHA-256`);
}

/**
 * Runs the traffic on an interface whose queue is not full. With several queues, different flows may overtake each
 * other.
 */
export async function allTraffic(t: Test, nic: Attached, order: 'ordered' | 'unordered' = 'ordered'): Promise<void> {
  const { netns, iface } = nic;
  const mac = macOf(netns, iface);
  for (const address of ADDRESSES) {
    const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
    const { stdout } = run(nsenter, [...rest, 'ping', '-c', '3', '-i', '0.2', '-W', String(2 * SLOW), address]);
    t.match(stdout, /3 received, 0% packet loss/, `ping ${address}: 3 of 3`);
  }
  const { backend } = attachmentOf(nic);
  // PACKET_VNET_HDR takes UDP superpackets from 6.2 on. Before that, a veth segments them; on a dummy nothing does.
  const superpackets = backend === 'veth' || passesUdpGso();
  // A dummy has IFF_NOARP: its neighbours need no address.
  type Neighbours = { dst: string; lladdr?: string }[];
  const neighbours =
    backend === 'dummy'
      ? null
      : (JSON.parse(ok('ip', ['-n', netns, '-json', 'neigh', 'show', 'dev', iface])) as Neighbours);
  for (const address of neighbours ? ADDRESSES : []) {
    t.equal(
      neighbours?.find(({ dst }) => dst === address)?.lladdr,
      mac,
      `the neighbour ${address} was found through the loop`,
    );
  }
  for (const address of ADDRESSES) await transfer(t, netns, address);
  const largest = (): number => look(nic).queue.largestFrame;
  for (let more = 0; more < MORE_TRANSFERS && largest() <= LONGEST_WIRE_FRAME; more++)
    await transfer(t, netns, ADDRESSES[0]);
  t.ok(largest() > LONGEST_WIRE_FRAME, `superpackets crossed the ring whole: the largest frame has ${largest()} bytes`);

  for (const address of ADDRESSES) {
    const udp = new OwnUdp(t, netns, address, 500);
    await exchange(udp, 1000, UNDER_WAY);
    t.ok(await udp.takeUntil(1000, WAIT_MS), `UDP to ${address}: all ${udp.received} came back`);
    if (superpackets) {
      udp.sendSuperpacket(40);
      t.ok(await udp.takeUntil(1040, WAIT_MS), 'a superpacket comes back in its segments');
    }
    t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  }
  const fragments = new OwnUdp(t, netns, ADDRESSES[0], 60_000);
  fragments.offer(1);
  t.ok(await fragments.takeUntil(1, WAIT_MS), 'a datagram in fragments comes back');
  t.equal(fragments.damaged, 0, 'whole');

  const socket = RawSocket.open(t, netns, iface);
  const tagged = [
    [[0x8100, 5]],
    [
      [0x88a8, 100],
      [0x8100, 5],
    ],
  ] as const;
  const frames = [
    frameOf(14),
    frameOf(1514),
    ...tagged.map((tags) => frameOf(100, { tags })),
    frameOf(60, { destination: '33:33:00:00:00:99' }),
  ];
  for (const frame of frames) socket.send(frame);
  const back = await socket.received(frames.length, from(SOURCE));
  const received = back.map(({ frame }) => frame);
  if (order === 'unordered') [frames, received].forEach((list) => list.sort((a, b) => Buffer.compare(a, b)));
  t.same(differences(frames, received), [], 'raw frames, tagged ones and multicast: byte for byte');

  await setMtu(nic, 9000);
  const jumbo = new OwnUdp(t, netns, ADDRESSES[0], 8900);
  await exchange(jumbo, 20);
  t.ok(await jumbo.takeUntil(20, WAIT_MS), 'jumbo frames come back');
  t.equal(jumbo.damaged, 0, 'whole');
}
