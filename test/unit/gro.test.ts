// SPDX-License-Identifier: MIT
/** Datagrams that are merged into one packet are restored when it is segmented as the kernel does. */
import t, { type Test } from 'tap';

import { GRO_MAX_SEGMENTS } from '../../src/datapath/gro';
import { MERGED_MARK } from '../../src/layout';
import { errnoOf } from '../../src/native/libc';
import { checksum, datagram, type Datagram } from '../helpers/datagrams';
import { FakeNic } from '../helpers/fake-nic';

const UDP_L4 = 5;
const HDR = 10;

interface Packet {
  mark: number | null;
  gsoType: number;
  gsoSize: number;
  frame: Buffer;
}

function packetsOf(nic: FakeNic): Packet[] {
  return nic.packets.map((packet, i) => ({
    mark: nic.marks[i] ?? null,
    gsoType: packet[1] as number,
    gsoSize: packet.readUInt16LE(4),
    frame: packet.subarray(HDR),
  }));
}

const ipv6 = (frame: Buffer): boolean => frame.readUInt16BE(12) === 0x86dd;
const headersOf = (frame: Buffer): number => (ipv6(frame) ? 62 : 42);

/** What __udp_gso_segment and inet_gso_segment make of a packet; checksums that are still partial stay so. */
function cut({ gsoType, gsoSize, frame }: Packet): Buffer[] {
  if (gsoType === 0) return [frame];
  const headers = headersOf(frame);
  const whole = frame.readUInt16BE(headers - 4);
  const pieces: Buffer[] = [];
  for (let at = headers; at < frame.length; at += gsoSize) {
    const piece = Buffer.concat([frame.subarray(0, headers), frame.subarray(at, Math.min(at + gsoSize, frame.length))]);
    const length = piece.length - headers + 8;
    piece.writeUInt16BE(length, headers - 4);
    // csum16_add(csum16_sub(check, old length), new length)
    const sum = piece.readUInt16BE(headers - 2) + (~whole & 0xffff) + length;
    piece.writeUInt16BE(((sum & 0xffff) + (sum >>> 16)) % 0xffff || 0xffff, headers - 2);
    if (ipv6(piece)) {
      piece.writeUInt16BE(length, 18);
    } else {
      piece.writeUInt16BE(length + 20, 16);
      piece.writeUInt16BE((frame.readUInt16BE(18) + pieces.length) & 0xffff, 18);
      piece.writeUInt16BE(0, 24);
      piece.writeUInt16BE(checksum(piece.subarray(14, 34)), 24);
    }
    pieces.push(piece);
  }
  return pieces;
}

function looped(t: Test, flow: readonly Datagram[], expectedPackets: number, answers: number[] = []): FakeNic {
  const nic = new FakeNic({ budget: 128, ringBytes: 1 << 20, gro: true });
  const frames = flow.map((one) => datagram(one));
  for (const { frame, vnetHeader } of frames) nic.put(frame, 'ready', vnetHeader);
  nic.answers = [...answers];
  for (let polls = 0; polls < 200 && nic.counter('drained') < flow.length; polls++) nic.poller.poll();
  const packets = packetsOf(nic);
  t.equal(packets.length, expectedPackets, `${flow.length} frames in ${expectedPackets} packets`);
  for (const { mark, gsoType, frame } of packets) {
    t.ok(gsoType === 0 || gsoType === UDP_L4);
    t.equal(mark, gsoType === 0 ? null : MERGED_MARK, 'who is merged is marked, and nobody else');
    if (gsoType !== 0 && !ipv6(frame)) t.equal(checksum(frame.subarray(14, 34)), 0, 'the IP checksum is right');
  }
  t.same(
    packets.flatMap(cut).map((frame) => frame.toString('hex')),
    frames.map(({ frame }) => frame.toString('hex')),
    'cut up, they are what they were',
  );
  t.equal(nic.counter('rxPackets'), flow.length);
  t.equal(
    nic.counter('rxBytes'),
    frames.reduce((sum, { frame }) => sum + frame.length, 0),
  );
  t.equal(nic.counter('merged'), flow.length - expectedPackets);
  return nic;
}

const of = (count: number, one: Datagram = {}): Datagram[] =>
  Array.from({ length: count }, (_, i) => ({ ...one, fill: i, identification: i + (one.identification ?? 0) }));

t.test('a burst of one flow is one packet', async (t) => {
  for (const family of [4, 6] as const) {
    looped(t, of(10, { family, bytes: 64 }), 1);
    looped(t, of(10, { family, bytes: 1 }), 1);
    looped(t, of(40, { family, bytes: 1400 }), 1);
    looped(t, of(100, { family, bytes: 1400 }), 3); // 46 of them are 64 KiB
    looped(t, of(65, { family, bytes: 100 }), 2); // GRO_MAX_SEGMENTS
  }
  t.equal(GRO_MAX_SEGMENTS, 64);
});

t.test('the last may be shorter, and ends the packet', async (t) => {
  for (const family of [4, 6] as const) {
    const three = of(3, { family, bytes: 100 });
    looped(t, [...three, { family, bytes: 40, identification: 3 }], 1);
    looped(t, [...three, { family, bytes: 40, identification: 3 }, ...of(2, { family, bytes: 40 })], 2);
    looped(t, [...three, { family, bytes: 101, identification: 3 }], 2);
  }
});

t.test('what differs in any header field is not merged', async (t) => {
  const others: Datagram[] = [
    { from: 9 },
    { to: 9 },
    { sourcePort: 9 },
    { destinationPort: 9 },
    { ttl: 9 },
    { tos: 4 },
    { mac: 9 },
    { family: 6 },
  ];
  for (const other of others) looped(t, [{}, { ...other, identification: 1 }], 2);
  for (const other of others.slice(0, 7)) looped(t, [{ family: 6 }, { family: 6, ...other }], 2);
  looped(t, [{ family: 6 }, { family: 6, flowLabel: 5 }], 2);
});

t.test('frames that are no plain datagrams of this machine are left alone', async (t) => {
  const others: Datagram[] = [
    { protocol: 6 },
    { protocol: 136 },
    { fragment: 0x2000 },
    { fragment: 0x0010 },
    { mayFragment: true },
    { checksumDone: true },
    { bytes: 0 },
    { udpLengthOff: 1 },
    { ipLengthOff: -1 },
  ];
  for (const other of others) looped(t, [other, other], 2);
  looped(
    t,
    [
      { family: 6, protocol: 44 },
      { family: 6, protocol: 44 },
    ],
    2,
  );
  looped(
    t,
    [
      { family: 6, bytes: 0 },
      { family: 6, bytes: 0 },
    ],
    2,
  );
});

t.test('a wrong unfinished checksum spoils no datagram of others, wherever it is', async (t) => {
  for (const family of [4, 6] as const) {
    // -1 beside a sum that fits: 0 and 0xffff are the same to a receiver, but not the same bytes
    for (const udpSumOff of [1, 0x5555, -1]) {
      const wrong = { family, udpSumOff };
      const honest = of(6, { family });
      looped(t, [wrong, ...of(5, { family, identification: 1 })], 2);
      looped(t, [...honest, { ...wrong, identification: 6 }], 2);
      looped(t, [...honest, { ...wrong, identification: 6, bytes: 40 }], 2);
      looped(t, [...of(3, { family }), { ...wrong, identification: 3 }, ...of(3, { family, identification: 4 })], 3);
      looped(t, of(4, wrong), 1);
    }
    const sum = datagram({ family }).frame.readUInt16BE(family === 4 ? 40 : 60);
    looped(t, of(3, { family, udpSumOff: -sum }), 3); // 0 would come back as 0xffff
    looped(t, of(3, { family, udpSumOff: 0xffff - sum }), 1);
  }
});

t.test('a wrong checksum of an IPv4 header is not repaired, wherever it is', async (t) => {
  for (const ipSumOff of [1, 0x5555, -1]) {
    looped(t, [{ ipSumOff }, ...of(5, { identification: 1 })], 2);
    looped(t, [...of(5), { ipSumOff, identification: 5 }], 2);
    looped(t, [...of(5), { ipSumOff, identification: 5, bytes: 40 }], 2);
    looped(t, of(4, { ipSumOff }), 4);
  }
  // Right to a receiver, but the kernel writes 0 instead of 0xffff.
  const identification = datagram({}).frame.readUInt16BE(24);
  t.equal(datagram({ identification }).frame.readUInt16BE(24), 0);
  looped(t, of(3, { identification }), 1);
  looped(t, [{ identification, ipSumOff: 0xffff }, ...of(2, { identification: identification + 1 })], 2);
  looped(t, [...of(2, { identification: identification - 2 }), { identification, ipSumOff: 0xffff }], 2);
});

t.test('identifications that count up come back, and others are not merged', async (t) => {
  const numbered = (...identifications: number[]): Datagram[] =>
    identifications.map((identification, fill) => ({ identification, fill }));
  looped(t, numbered(100, 101, 102, 103), 1);
  looped(t, numbered(65534, 65535, 0, 1), 1);
  looped(t, numbered(100, 7, 900, 33, 5, 6), 5);
  looped(t, numbered(100, 101, 103, 104), 2);
  looped(t, numbered(100, 101, 101, 102), 2);
  looped(t, numbered(5, 4, 3), 3);
  looped(t, [...numbered(100, 101), { identification: 103, bytes: 40 }], 2);
});

t.test('datagrams of one identification are merged, and numbered by the kernel', async (t) => {
  const nic = new FakeNic({ budget: 16, ringBytes: 1 << 16, gro: true });
  for (const identification of [7, 7, 7, 7, 8, 8]) {
    const { frame, vnetHeader } = datagram({ identification });
    nic.put(frame, 'ready', vnetHeader);
  }
  nic.poller.poll();
  t.same(
    packetsOf(nic).map((packet) => cut(packet).map((frame) => frame.readUInt16BE(18))),
    [
      [7, 8, 9, 10],
      [8, 9],
    ],
  );
});

t.test('superpackets are left alone', async (t) => {
  const nic = new FakeNic({ budget: 16, ringBytes: 1 << 16, gro: true });
  for (const one of of(3, { gsoType: 5 })) {
    const { frame, vnetHeader } = datagram(one);
    nic.put(frame, 'ready', vnetHeader);
  }
  nic.poller.poll();
  t.same(
    packetsOf(nic).map(({ mark, gsoType }) => [mark, gsoType]),
    [
      [null, UDP_L4],
      [null, UDP_L4],
      [null, UDP_L4],
    ],
    'each as it was',
  );
});

t.test('where nobody cuts them up they keep the mark of their socket', async (t) => {
  const nic = new FakeNic({ budget: 16, ringBytes: 1 << 16, gro: true, resegment: false });
  for (const { frame, vnetHeader } of of(3).map(datagram)) nic.put(frame, 'ready', vnetHeader);
  nic.poller.poll();
  t.same(
    packetsOf(nic).map(({ mark, gsoType }) => [mark, gsoType]),
    [[null, UDP_L4]],
  );
});

t.test('flows by turns keep their order', async (t) => {
  looped(
    t,
    Array.from({ length: 20 }, (_, i) => ({ sourcePort: 1000 + (i % 3), fill: i })),
    20,
  );
  looped(
    t,
    Array.from({ length: 20 }, (_, i) => ({ sourcePort: 1000 + (i >> 2), fill: i, identification: i })),
    5,
  );
});

t.test('a packet that the kernel will not have is sent frame by frame', async (t) => {
  const nic = looped(t, of(10), 10, [-(errnoOf['EINVAL'] as number)]);
  t.equal(nic.counter('refusedInvalid'), 0);
});

t.test('a kernel that refuses every merged packet is asked less and less often', async (t) => {
  const nic = new FakeNic({ budget: 4, ringBytes: 1 << 16, gro: true });
  const asked: number[] = [];
  for (let poll = 0; poll < 200; poll++) {
    if (nic.reader.isEmpty())
      for (const { frame, vnetHeader } of of(4).map(datagram)) nic.put(frame, 'ready', vnetHeader);
    // A merged packet stays in the ring, to be sent frame by frame; of single frames this refuses the first.
    nic.answers = [-(errnoOf['EINVAL'] as number)];
    if (nic.poller.poll() === 0) asked.push(poll);
  }
  t.same(asked, [0, 17, 50, 115], 'after 16 polls that merge nothing, 32, 64 ...');
});

t.test('a packet of which the first frames got into the backlog: the rest is sent, and no more', async (t) => {
  const nic = new FakeNic({ budget: 16, ringBytes: 1 << 16, gro: true });
  for (const one of of(10)) {
    const { frame, vnetHeader } = datagram(one);
    nic.put(frame, 'ready', vnetHeader);
  }
  nic.answers = [-(errnoOf['ENOBUFS'] as number)];
  nic.delivered = 4; // as the interface counts
  t.equal(nic.poller.poll(), 4, 'four are done with');
  t.ok(nic.poller.blocked);
  t.equal(nic.counter('rxPackets'), 4);
  t.equal(nic.poller.poll(), 6);
  t.equal(nic.packets.length, 6, 'one by one');
  t.same(
    nic.packets.map((packet) => packet[HDR + 42]),
    [4, 5, 6, 7, 8, 9],
  );
  t.equal(nic.counter('rxPackets'), 10);
});

t.test(
  'behind a qdisc nothing is merged: it would take a packet for one frame; afterwards it is counted anew',
  async (t) => {
    const nic = new FakeNic({ budget: 16, ringBytes: 1 << 16, gro: true });
    const put = (): void => {
      for (const one of of(10)) {
        const { frame, vnetHeader } = datagram(one);
        nic.put(frame, 'ready', vnetHeader);
      }
    };
    put();
    nic.poller.impaired = true;
    nic.poller.poll();
    t.equal(nic.packets.length, 10, 'one by one');
    nic.delivered = 7; // three were lost on the way
    nic.poller.impaired = false;
    nic.poller.poll(); // finds the ring empty, and counts from here
    put();
    nic.answers = [-(errnoOf['ENOBUFS'] as number)];
    nic.delivered += 4;
    t.equal(nic.poller.poll(), 4, 'of a merged packet four frames have got there');
  },
);
