// SPDX-License-Identifier: MIT
/**
 * UDP superpackets on a kernel whose PACKET_VNET_HDR does not take them (before 6.2): the kernel
 * cuts them up on their way to the hidden peer, and `sink` captures the frames.
 */
import t from 'tap';

import { cannotRun, checkLaw, SLOW } from '../helpers/cli';
import { slowNic } from '../helpers/slow-nic';
import { scaled, udpRun } from '../helpers/traffic';

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
      const { sender, receiver } = await udpRun(t, nic.netns, { to: '10.77.0.1', packets, bytes: 1400, segments: 40 }, 3000 * SLOW);
      const after = await nic.atRest();
      t.equal(sender.sent, packets, 'all were sent');
      t.equal(receiver.received, packets, 'all were received');
      t.equal(receiver.outOfOrder, 0, 'in order');
      t.equal(receiver.damaged, 0, 'undamaged');
      t.equal(after.tx.packets - before.tx.packets, packets, 'TX counts frames, as veth does');
      t.ok(after.queue.largestFrame <= 1514, 'no superpacket was in the ring');
      t.equal(after.held.dropped + after.held.again, 0, 'the waiting room lost nothing');
      checkLaw(t, nic, after);
    });
  }
});
