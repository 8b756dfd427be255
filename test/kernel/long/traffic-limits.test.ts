// SPDX-License-Identifier: MIT
/** The smallest queue and the smallest budget: slower, but just as exact. */
import t from 'tap';

import { MIN_RING_BYTES } from '../../../src/options/values';
import { attachedIn, checkAccounting, SLOW } from '../../helpers/cli';
import { quietNetns } from '../../helpers/netns';
import { cannotCarry } from '../../helpers/supported';
import { scaled, udpRun, withoutArp } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';

const SMALLEST_RING = ['--ring-size', String(MIN_RING_BYTES)] as const;

interface Limit {
  name: string;
  args: readonly string[];
  bytes: number;
}

const LIMITS: readonly Limit[] = [
  { name: 'one frame per poll', args: ['--budget', '1'], bytes: 100 },
  { name: 'the most frames per poll', args: ['--budget', '1024'], bytes: 100 },
  { name: 'a queue of one packet', args: ['--queue-packets', '1'], bytes: 100 },
  { name: 'a queue of one packet, one per poll', args: ['--queue-packets', '1', '--budget', '1'], bytes: 1400 },
  { name: 'the smallest ring', args: SMALLEST_RING, bytes: 1400 },
  { name: 'the smallest ring, woken only when empty', args: [...SMALLEST_RING, '--low-watermark', '0%'], bytes: 100 },
  { name: 'the smallest ring, woken at once', args: [...SMALLEST_RING, '--low-watermark', '99%'], bytes: 100 },
];

for (const { name, args, bytes } of LIMITS) {
  t.test(`${name}: ${args.join(' ')}`, { skip: cannotCarry() }, async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--when-full', 'drop', ...args]);
    withoutArp(nic, ADDRESS);
    const before = nic.stats().tx.packets;
    const { sender, receiver } = await udpRun(t, nic.netns, { to: ADDRESS, packets: scaled(100_000), bytes, flows: 2 });
    const after = await nic.atRest();
    t.comment(
      `${Math.round(sender.sent / sender.seconds)} per second offered: ${receiver.received} received, ${after.queue.stops} stops`,
    );
    t.equal(after.tx.packets - before, sender.sent, 'tx counts every packet that was offered');
    t.equal(receiver.received + after.refused.full, sender.sent, 'received + refused = offered, to the packet');
    t.ok(receiver.received > 0, 'some got through');
    t.equal(receiver.outOfOrder, 0, 'in order');
    t.equal(receiver.damaged, 0, 'undamaged');
    t.equal(after.queue.stopped, false, 'the queue is awake');
    checkAccounting(t, nic, after);
  });
}

t.test('the largest frames in the smallest ring, which holds three of them', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [
    '--addr',
    `${ADDRESS}/24`,
    '--when-full',
    'drop',
    ...SMALLEST_RING,
    '--mtu',
    '65535',
  ]);
  withoutArp(nic, ADDRESS);
  const { sender, receiver } = await udpRun(t, nic.netns, {
    to: ADDRESS,
    packets: 200,
    bytes: 65507,
    rate: 200 / SLOW,
  });
  const after = await nic.atRest();
  t.comment(`${receiver.received} received, ${after.refused.full} refused`);
  t.equal(receiver.received + after.refused.full, sender.sent, 'received + refused = offered');
  t.ok(receiver.received >= 3, 'at least as many as it holds came back');
  t.equal(receiver.damaged, 0, 'whole');
  t.equal(after.queue.largestFrame, 65549, 'in one frame each');
  checkAccounting(t, nic, after);
});
