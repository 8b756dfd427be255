// SPDX-License-Identifier: MIT
/**
 * Superpackets with a virtio_net_hdr, as a virtual machine sends them: on vnet0's egress their segments have not been
 * counted yet (gso_segs is 0). The programs and the qdisc of the waiting room must compute the same size for them, or
 * the qdisc would segment them, and the credit would not match.
 */
import t from 'tap';

import { passesBigTcp } from '../../../src/requirements';
import { attachedIn, cannotRun, checkAccounting, SLOW } from '../../helpers/cli';
import { from } from '../../helpers/frames';
import { quietNetns } from '../../helpers/netns';
import { RawSocket } from '../../helpers/raw-socket';
import { numberOf, PROBE_MAC, tcpSuperpacket, type Tags } from '../../helpers/tcp-superpacket';
import { scaled } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '5000' };
/** Space for many superpackets, so that one grant lets many of them out. */
const SEND_BUFFER_BYTES = 64 << 20;
const TAG = [0x8100, 7] as const;
const SERVICE_TAG = [0x88a8, 5] as const;

interface Case {
  name: string;
  payload: number;
  segment: number;
  tags?: Tags;
  /** Size of the ring, if not 2 MiB. */
  ring?: string;
  /** Budget of the poller, if not 4. */
  budget?: string;
  /** With its headers once for each segment it is longer than what the room takes. */
  unholdable?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'many small segments', payload: 40_000, segment: 100 },
  { name: 'a few large ones', payload: 60_000, segment: 1448 },
  ...(passesBigTcp() ? [{ name: 'above 64 KiB', payload: 200_000, segment: 1448, ring: '4M', budget: '1' }] : []),
  { name: 'with a VLAN tag', payload: 40_000, segment: 100, tags: [TAG] },
  { name: 'with two VLAN tags', payload: 40_000, segment: 1000, tags: [SERVICE_TAG, TAG] },
  { name: 'with three VLAN tags', payload: 40_000, segment: 1000, tags: [SERVICE_TAG, TAG, TAG] },
  { name: 'too many for the room', payload: 60_000, segment: 20, unholdable: true },
];

for (const { name, payload, segment, tags = [], ring = '2M', budget = '4', unholdable = false } of CASES) {
  t.test(name, { skip: cannotRun }, async (t) => {
    const nic = attachedIn(
      t,
      quietNetns(t),
      ['--addr', '10.77.0.1/24', '--ring-size', ring, '--budget', budget],
      'vnet0',
      SLOW_POLLER,
    );
    const receiver = RawSocket.open(t, nic.netns, nic.iface);
    const sender = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true, sendBufferBytes: SEND_BUFFER_BYTES });
    const before = nic.stats();
    const count = scaled(400);
    const sent: number[] = [];
    const numbers: number[] = [];
    const look = (frames: readonly { frame: Buffer }[]): void => {
      for (const { frame } of frames) numbers.push(numberOf(frame, tags));
    };
    const ours = from(PROBE_MAC);
    for (let number = 0; number < count; number++) {
      // Blocks while too many wait.
      if (sender.trySend(tcpSuperpacket(number, payload, segment, tags)) === 0) sent.push(number);
      if (number % 16 === 0) look(await receiver.received(0, ours));
    }
    look(await receiver.received(sent.length - numbers.length, ours, 10_000));
    const after = await nic.atRest();
    const refused = Object.entries(after.refused).filter(([, frames]) => frames > 0);
    t.same(numbers, sent, 'each that was taken came back once, in order');
    t.equal(after.tx.packets - before.tx.packets, count, 'TX counts them all');
    if (unholdable) {
      t.ok(sent.length < count, 'the sender is told of those that found the ring full');
      t.same(refused, [['unholdable', count - sent.length]], 'and they are counted');
    } else {
      t.equal(sent.length, count, 'all were taken');
      t.same(refused, [], 'nothing was refused');
      t.ok(after.held.total > 0, `${after.held.total} were held, ${after.held.grants} grants`);
    }
    t.equal(after.held.now, 0, 'nothing waits any more');
    t.equal(after.held.dropped + after.held.again, 0, 'the waiting room lost nothing');
    checkAccounting(t, nic, after);
  });
}

t.test(
  'one of IPv6 that is too large and has a tag is refused, and strands nothing in the room',
  { skip: cannotRun },
  async (t) => {
    const nic = attachedIn(
      t,
      quietNetns(t),
      ['--addr', '10.77.0.1/24', '--ring-size', '4M', '--budget', '1'],
      'vnet0',
      SLOW_POLLER,
    );
    const sender = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true, sendBufferBytes: SEND_BUFFER_BYTES });
    const count = scaled(200);
    for (let number = 0; number < count; number++) {
      sender.send(tcpSuperpacket(number, 60_000, 1448, [TAG]));
      sender.send(tcpSuperpacket(number, 100_000, 1440, [TAG], 6));
    }
    const after = await nic.atRest();
    t.ok(after.held.total > 0, `${after.held.total} were held`);
    t.equal(after.refused.gso, count);
    t.same(
      [after.held.now, after.held.dropped, after.held.again],
      [0, 0, 0],
      'nothing waits any more, nothing is lost',
    );
    t.same([after.tx.packets, after.rx.packets], [2 * count, count]);
  },
);
