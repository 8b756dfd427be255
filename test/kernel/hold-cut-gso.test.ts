// SPDX-License-Identifier: MIT
/**
 * Superpackets that the kernel segments on their way to the peer, where `sink` captures the frames: those of UDP on a
 * kernel whose PACKET_VNET_HDR does not take them (before 6.2), those whose checksum is done, and those that are too
 * long.
 */
import t, { type Test } from 'tap';

import { passesBigTcp } from '../../src/requirements';
import { attachedIn, cannotRun, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { ADDRESSES, look, stopped, WAIT_MS } from '../helpers/loop';
import { testNetns } from '../helpers/netns';
import { setFeatures, setGsoLimits } from '../helpers/offloads';
import { ownTcp } from '../helpers/own-sockets';
import { slowNic } from '../helpers/slow-nic';
import { scaled, udpRun, withoutTools } from '../helpers/traffic';
import { UdpSuperpackets, type SuperpacketShape } from '../helpers/udp-superpackets';

t.setTimeout(300_000 * SLOW);

t.test('superpackets that have to be cut up', { skip: cannotRun }, async (t) => {
  process.env['VNET_BPF_TEST_CUT_UDP_GSO'] = '1';
  t.teardown(() => delete process.env['VNET_BPF_TEST_CUT_UDP_GSO']);
  for (const { name, delayUs, args } of [
    { name: 'at once', delayUs: 0, args: [] },
    { name: 'after waiting', delayUs: 2_000, args: ['--ring-size', '256K'] },
  ]) {
    await t.test(name, async (t) => {
      const nic = slowNic(t, { address: '10.77.0.1', delayUs, args });
      const before = nic.stats();
      const packets = scaled(200) * 40;
      const { sender, receiver } = await udpRun(
        t,
        nic.netns,
        { to: '10.77.0.1', packets, bytes: 1400, segments: 40 },
        3000 * SLOW,
      );
      const after = await nic.atRest();
      t.equal(sender.sent, packets, 'all were sent');
      t.equal(receiver.received, packets, 'all were received');
      t.equal(receiver.outOfOrder, 0, 'in order');
      t.equal(receiver.damaged, 0, 'undamaged');
      t.equal(after.tx.packets - before.tx.packets, packets, 'TX counts frames, as veth does');
      t.ok(after.queue.largestFrame <= 1514, 'no superpacket was in the ring');
      t.equal(after.held.dropped + after.held.again, 0, 'the waiting room lost nothing');
      checkAccounting(t, nic, after);
    });
  }
});

interface Case {
  name: string;
  address: (typeof ADDRESSES)[number];
  shape: SuperpacketShape;
  /** Features that are off. */
  off?: readonly string[];
}

const [V4, V6] = ADDRESSES;
const CASES: readonly Case[] = [
  { name: 'without checksum offload, IPv4', address: V4, shape: { payload: 30_000, segment: 1400 }, off: ['tx'] },
  { name: 'without checksum offload, IPv6', address: V6, shape: { payload: 30_000, segment: 1400 }, off: ['tx'] },
  { name: 'with a hop-by-hop header', address: V6, shape: { payload: 30_000, segment: 1400, extension: 'hop-by-hop' } },
  {
    name: 'with destination options',
    address: V6,
    shape: { payload: 30_000, segment: 1400, extension: 'destination' },
  },
  { name: 'of 64 KiB and more, IPv4', address: V4, shape: { payload: 46 * 1424, segment: 1424 } },
  { name: 'of 64 KiB and more, IPv6', address: V6, shape: { payload: 46 * 1424, segment: 1424 } },
];

/**
 * Sends as many as the queue and the socket take while the poller is stopped, and asserts that all of them come back.
 */
async function bothWays(t: Test, nic: Attached, address: string, shape: SuperpacketShape): Promise<void> {
  const udp = new UdpSuperpackets(t, nic.netns, address, shape);
  const before = look(nic);
  t.equal(udp.offer(), null, 'one is taken');
  await stopped(nic, () => {
    for (let error = null; error !== 'EAGAIN';) {
      error = udp.offer();
      if (error !== null && error !== 'EAGAIN') throw new Error(`refused: ${error}`);
    }
    t.ok(look(nic).held.now > 0, 'frames are held');
  });
  for (
    const end = Date.now() + WAIT_MS;
    udp.received < udp.sent && Date.now() < end;
    await new Promise((resolve) => setTimeout(resolve, 5))
  )
    udp.take();
  const after = await nic.atRest();
  t.equal(udp.received, udp.sent, `all ${udp.sent} datagrams came back`);
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  t.same(after.refused, before.refused, 'nothing was refused');
  t.equal(after.held.dropped + after.held.again, 0, 'the waiting room lost nothing');
}

t.test(
  'superpackets that the kernel cuts up in any case',
  { skip: cannotRun || withoutTools('ethtool') },
  async (t) => {
    const nic = attachedIn(t, testNetns(t), ['--addr', `${V4}/24`, '--addr', `${V6}/64`, '--ring-size', '256K']);
    for (const { name, address, shape, off = [] } of CASES) {
      await t.test(name, async (t) => {
        setFeatures(nic, off);
        await bothWays(t, nic, address, shape);
      });
    }
  },
);

t.test(
  'TCP superpackets longer than the loop carries, which only the user allowed',
  { skip: cannotRun || (!passesBigTcp() && 'this kernel has no BIG TCP') },
  async (t) => {
    const nic = attachedIn(t, testNetns(t), ['--addr', `${V4}/24`, '--addr', `${V6}/64`, '--ring-size', '1M']);
    setGsoLimits(nic, { size: 200_000, ipv4Size: 200_000 });
    for (const address of ADDRESSES) {
      const before = look(nic);
      const bytes = scaled(32 << 20);
      const { sent, received } = await ownTcp(nic.netns, address, bytes, { ms: WAIT_MS });
      const after = await nic.atRest();
      t.equal(received.bytes, bytes, `${address}: all bytes`);
      t.equal(received.sha256, sent.sha256, 'the same');
      t.same(after.refused, before.refused, 'nothing was refused');
      t.ok(after.tx.packets > before.tx.packets, `${after.tx.packets - before.tx.packets} frames`);
    }
  },
);
