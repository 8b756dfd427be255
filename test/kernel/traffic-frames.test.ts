// SPDX-License-Identifier: MIT
/** Whatever frame is put on vnet0, it comes back byte for byte. */
import { randomBytes } from 'node:crypto';

import t, { type Test } from 'tap';

import { attachedIn, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import {
  BROADCAST,
  differences,
  ethernet,
  ETH_HEADER_BYTES,
  frameOf,
  from,
  LOCAL_EXPERIMENT,
  macOf,
} from '../helpers/frames';
import { quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const SOURCE = '02:00:00:00:0e:01';
const STRANGER = '02:00:00:00:0e:02';
const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;

/** Sends each frame and compares what vnet0 receives, one for one and in order. */
async function comeBack(t: Test, nic: Attached, frames: readonly Buffer[]): Promise<void> {
  const socket = RawSocket.open(t, nic.netns, nic.iface);
  const before = nic.stats();
  for (const frame of frames) socket.send(frame);
  const received = await socket.received(frames.length, from(SOURCE));
  t.equal(received.length, frames.length, 'as many frames came back as were sent');
  t.same(
    differences(
      frames,
      received.map(({ frame }) => frame),
    ),
    [],
    'byte for byte, in order',
  );
  const after = await nic.atRest();
  t.equal(after.tx.packets - before.tx.packets, frames.length, 'TX counts them');
  t.equal(after.rx.packets - before.rx.packets, frames.length, 'RX counts them');
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  t.equal(after.tx.bytes - before.tx.bytes, bytes, 'TX counts their bytes');
  t.equal(after.rx.bytes - before.rx.bytes, bytes, 'RX counts their bytes');
  checkAccounting(t, nic, after);
}

t.test('frames of every size up to the MTU', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const sizes = [...Array.from({ length: 1514 - ETH_HEADER_BYTES + 1 }, (_, i) => ETH_HEADER_BYTES + i)];
  await comeBack(
    t,
    nic,
    sizes.map((size) => frameOf(size)),
  );
});

t.test('frames to anyone and of any kind', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const own = macOf(nic.netns, nic.iface);
  const kinds: Buffer[] = [
    frameOf(60, { destination: BROADCAST }),
    frameOf(60, { destination: '01:00:5e:00:00:fb' }),
    frameOf(60, { destination: '33:33:00:00:00:01' }),
    frameOf(60, { destination: '01:80:c2:00:00:0e', type: 0x88cc }), // LLDP: a bridge would keep it
    frameOf(60, { destination: STRANGER }),
    frameOf(60, { destination: own }),
    frameOf(60, { type: LOCAL_EXPERIMENT }),
    frameOf(60, { type: 0xffff }),
    frameOf(60, { type: 0 }),
    frameOf(60, { type: 46 }), // 802.3: a length, not a type
    frameOf(14, { destination: own }), // nothing but a header
    frameOf(60, { destination: own, type: ETH_P_ARP }), // not really ARP
    frameOf(60, { destination: own, type: ETH_P_IP }), // not really IPv4
    frameOf(60, { destination: own, type: 0x86dd }), // not really IPv6
    frameOf(17, { destination: own, type: ETH_P_IP }),
    frameOf(61, { destination: own, type: 0x8847 }), // MPLS
    frameOf(60, { destination: own, type: 0x8864 }), // PPPoE
  ];
  await comeBack(t, nic, kinds);
});

t.test('frames of up to 64 KiB, on both sides of every record size', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--mtu', '65535']);
  const records = [120, 184, 248, 376, 504, 760, 1016, 1592, 2040, 3064, 4600, 9208, 16376, 32760, 49144];
  const header = 16; // of a record; sizes a byte to each side of a step find an error by one
  const sizes = records.flatMap((record) => [-1, 0, 1].map((step) => record - header + step));
  await comeBack(
    t,
    nic,
    [...sizes, 65535, 65548, 65549].map((size) => frameOf(size)),
  );
});

t.test('IP packets of a protocol that nobody here speaks', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  const SCTP = 132;
  const ipv4 = (protocol: number, payload: Buffer): Buffer => {
    const packet = Buffer.concat([Buffer.from('4500000000004000400000000a4d00020a4d0001', 'hex'), payload]);
    packet.writeUInt16BE(packet.length, 2);
    packet[9] = protocol;
    let sum = 0;
    for (let i = 0; i < 20; i += 2) sum += packet.readUInt16BE(i);
    packet.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 10);
    return packet;
  };
  const own = macOf(nic.netns, nic.iface);
  const frames = [SCTP, 47, 50, 136, 253].map((protocol) =>
    ethernet({ destination: own, source: SOURCE, type: ETH_P_IP, payload: ipv4(protocol, randomBytes(99)) }),
  );
  const socket = RawSocket.open(t, nic.netns, nic.iface);
  for (const frame of frames) socket.send(frame);
  const received = await socket.received(frames.length, from(SOURCE));
  t.same(
    differences(
      frames,
      received.map(({ frame }) => frame),
    ),
    [],
    'byte for byte',
  );
  // The stack may answer (protocol unreachable), so only the accounting looks at the counts.
  checkAccounting(t, nic, await nic.atRest());
});
