// SPDX-License-Identifier: MIT
/**
 * Superpackets with a virtio_net_hdr, as a virtual machine sends them: on vnet0's egress nobody has
 * counted their segments yet (gso_segs is 0). What the waiting room takes them for has to be what
 * its qdisc takes them for, or it would cut them up, and its credit would not come out even.
 */
import t from 'tap';

import { attachedIn, cannotRun, checkLaw, SLOW } from '../../helpers/cli';
import { ethernet, from } from '../../helpers/frames';
import { quietNetns } from '../../helpers/netns';
import { RawSocket } from '../../helpers/raw-socket';
import { scaled } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '2000' };
/** Of many superpackets, so that one grant lets many of them out. */
const SEND_BUFFER_BYTES = 64 << 20;
const SOURCE = '02:00:00:00:0e:05';
const PROTOCOL_TCP = 6;
const TAG = [0x8100, 7] as const;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const [ETH, IP, TCP] = [14, 20, 20];

/** A virtio_net_hdr and a TCP superpacket that carries its number. */
function superpacket(number: number, payload: number, segment: number, tags: readonly (readonly [number, number])[]): Buffer {
  const packet = Buffer.alloc(IP + TCP + payload, number & 0xff);
  packet.fill(0, 0, IP + TCP);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = 64;
  packet[9] = PROTOCOL_TCP;
  packet.set([10, 77, 0, 2, 10, 77, 0, 3], 12);
  packet.writeUInt32BE(number, IP + 4); // the sequence number
  packet[IP + 12] = (TCP / 4) << 4;
  const mac = ETH + 4 * tags.length;
  const header = Buffer.alloc(10);
  header[0] = NEEDS_CSUM;
  header[1] = GSO_TCPV4;
  header.writeUInt16LE(mac + IP + TCP, 2);
  header.writeUInt16LE(segment, 4);
  header.writeUInt16LE(mac + IP, 6);
  header.writeUInt16LE(16, 8);
  return Buffer.concat([header, ethernet({ destination: '02:00:00:00:0e:06', source: SOURCE, type: 0x0800, tags, payload: packet })]);
}

interface Case {
  name: string;
  payload: number;
  segment: number;
  tags?: readonly (readonly [number, number])[];
  /** With its headers once for each segment it is longer than what the room takes. */
  unholdable?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'many small segments', payload: 40_000, segment: 100 },
  { name: 'a few large ones', payload: 60_000, segment: 1448 },
  { name: 'with a VLAN tag', payload: 40_000, segment: 100, tags: [TAG] },
  { name: 'too many for the room', payload: 60_000, segment: 40, unholdable: true },
];

for (const { name, payload, segment, tags = [], unholdable = false } of CASES) {
  t.test(name, { skip: cannotRun }, async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '2M', '--budget', '4'], 'vnet0', SLOW_POLLER);
    const receiver = RawSocket.open(t, nic.netns, nic.iface);
    const sender = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true, sendBufferBytes: SEND_BUFFER_BYTES });
    const before = nic.stats();
    const count = scaled(400);
    const sent: number[] = [];
    const numbers: number[] = [];
    const look = (frames: readonly { frame: Buffer }[]): void => {
      for (const { frame } of frames) numbers.push(frame.readUInt32BE(ETH + 4 * tags.length + IP + 4));
    };
    const ours = from(SOURCE);
    for (let number = 0; number < count; number++) {
      // Blocks while too many wait.
      if (sender.trySend(superpacket(number, payload, segment, tags)) === 0) sent.push(number);
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
    checkLaw(t, nic, after);
  });
}
