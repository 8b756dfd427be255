// SPDX-License-Identifier: MIT
/** A blocking sender faster than the poller: it is slowed to the poller's pace, and nothing is lost or reordered. */
import t from 'tap';

import { cannotRun, checkAccounting, SLOW } from '../../helpers/cli';
import { slowNic } from '../../helpers/slow-nic';
import { scaled, udpRun } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

interface Case {
  name: string;
  to?: string;
  bytes: number;
  packets: number;
  segments?: number;
  flows?: number;
  delayUs: number;
  args?: string[];
}

const cases: Case[] = [
  { name: '64 B, poller slowed 10 times', bytes: 64, packets: 60_000, delayUs: 3_000 },
  { name: '64 B, poller slowed 100 times', bytes: 64, packets: 4_000, delayUs: 30_000, args: ['--ring-size', '256K'] },
  { name: '1400 B', bytes: 1400, packets: 20_000, delayUs: 3_000, args: ['--ring-size', '256K'] },
  { name: '60 KiB GSO', bytes: 1400, segments: 43, packets: 43 * 1_000, delayUs: 10_000, args: ['--ring-size', '1M'] },
  {
    name: '60 KiB GSO in the smallest ring',
    bytes: 1400,
    segments: 43,
    packets: 43 * 300,
    delayUs: 3_000,
    args: ['--ring-size', '256K'],
  },
  { name: '8 sockets', bytes: 64, flows: 8, packets: 40_000, delayUs: 3_000, args: ['--ring-size', '256K'] },
  {
    name: '200 sockets over IPv6',
    to: 'fd77::1',
    bytes: 64,
    flows: 200,
    packets: 60_000,
    delayUs: 2_000,
    args: ['--ring-size', '256K'],
  },
  {
    name: '32 sockets over two queues',
    bytes: 64,
    flows: 32,
    packets: 40_000,
    delayUs: 3_000,
    args: ['--ring-size', '256K', '--queues', '2'],
  },
  { name: '--queue-packets 1', bytes: 64, packets: 2_000, delayUs: 0, args: ['--queue-packets', '1'] },
  {
    name: '--queue-packets 16 --budget 1',
    bytes: 64,
    packets: 10_000,
    delayUs: 0,
    args: ['--queue-packets', '16', '--budget', '1'],
  },
  { name: 'a ring of 256 MiB', bytes: 1400, packets: 50_000, delayUs: 1_000, args: ['--ring-size', '256M'] },
];

t.test('hold loses nothing and keeps the order', { skip: cannotRun }, async (t) => {
  for (const { name, to = '10.77.0.1', packets, segments = 1, delayUs, args = [], ...rest } of cases) {
    await t.test(name, async (t) => {
      const nic = slowNic(t, { address: to, delayUs, args });
      const before = nic.stats();
      const count = scaled(packets / segments) * segments;
      const { sender, receiver } = await udpRun(t, nic.netns, { to, packets: count, segments, ...rest }, 3000 * SLOW);
      const after = await nic.atRest();
      t.comment(
        `${Math.round(sender.sent / sender.seconds)} packets/s; ${after.held.total} held, ${after.queue.stops} stops, ${after.held.grants} grants`,
      );
      t.equal(sender.sent, count, 'all were sent');
      t.equal(receiver.received, count, 'all were received');
      t.equal(receiver.outOfOrder, 0, 'in order');
      t.equal(receiver.damaged, 0, 'undamaged');
      t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
      t.equal(after.held.again, 0, 'no frame went round the room twice');
      t.equal(after.held.now, 0, 'nothing waits any more');
      t.ok(after.tx.packets - before.tx.packets >= count / segments, 'TX counts what was sent');
      t.same(
        Object.values(after.refused).filter((refused) => refused > 0),
        [],
        'nothing was refused',
      );
      checkAccounting(t, nic, after);
    });
  }
});
