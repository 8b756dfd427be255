// SPDX-License-Identifier: MIT
/** Superpackets are segmented into the frames that a wire would carry. */
import { randomBytes } from 'node:crypto';

import t from 'tap';

import { ethernet, Frame, ipv4, ipv6, tcp, TCP_FLAG, udp } from '../../src/packet';
import { completeChecksum, GSO, Segmenter } from '../../src/packet/offload';
import { onesComplement, sumOf } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2', identification: 0xfffe };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const PORTS = { sourcePort: 1234, destinationPort: 53 };
const TCP = {
  ...PORTS,
  sequence: 0xfffff000,
  flags: TCP_FLAG.ack | TCP_FLAG.psh | TCP_FLAG.fin | TCP_FLAG.cwr,
  options: Uint8Array.from({ length: 12 }, () => 1),
};

function cut(superpacket: Uint8Array, type: number, size: number): Uint8Array[] {
  const segmenter = new Segmenter();
  const memory = Buffer.concat([Buffer.alloc(16), superpacket]); // not at the start of its memory
  const count = segmenter.open(memory, 16, superpacket.length, type, size);
  return Array.from({ length: count }, (_, i) => {
    const piece = new Uint8Array(segmenter.lengthOf(i));
    segmenter.write(i, piece);
    completeChecksum(piece, segmenter.checksumStart, segmenter.checksumOffset);
    return piece;
  });
}

const SIZE = 1000;
const payload = randomBytes(4321);

for (const [name, type, superpacket] of [
  ['TCP in IPv4', GSO.tcpv4, ethernet(LINK, ipv4(V4, tcp(TCP, payload)))],
  ['TCP in IPv6', GSO.tcpv6 | GSO.ecn, ethernet(LINK, ipv6(V6, tcp(TCP, payload)))],
  ['UDP in IPv4', GSO.udpL4, ethernet(LINK, ipv4(V4, udp(PORTS, payload)))],
  ['UDP in IPv6', GSO.udpL4, ethernet(LINK, ipv6(V6, udp(PORTS, payload)))],
] as const) {
  t.test(name, async (t) => {
    const pieces = cut(superpacket, type, SIZE);
    t.equal(pieces.length, 5);
    const frames = pieces.map((piece) => Frame.of(piece));
    const parts = frames.map((frame) => (frame.tcp ?? frame.udp)?.payload ?? new Uint8Array(0));
    t.same(
      parts.map(({ length }) => length),
      [SIZE, SIZE, SIZE, SIZE, 321],
    );
    t.ok(Buffer.concat(parts).equals(payload), 'together they carry what it carried');
    pieces.forEach((piece, i) => t.equal(onesComplement(piece), 0xffff, `checksum of piece ${i}`));
    frames.forEach(({ ipv4: v4, bytes }, i) => {
      if (!v4) return;
      t.equal(sumOf([...bytes.subarray(14, 34)]), 0xffff, `IPv4 header checksum of piece ${i}`);
      t.equal(v4.identification, (0xfffe + i) & 0xffff);
    });
    frames.forEach(({ tcp: segment }, i) => {
      if (!segment) return;
      t.equal(segment.sequence, (0xfffff000 + i * SIZE) >>> 0);
      t.equal(segment.psh && segment.fin, i === 4, 'PSH and FIN on the last');
      t.equal((segment.flags & TCP_FLAG.cwr) !== 0, i === 0, 'CWR on the first');
    });
  });
}

t.test('TCP of more than the length field can say', async (t) => {
  const large = randomBytes(200_000);
  const superpacket = ethernet(LINK, ipv4(V4, tcp(TCP, payload)));
  const headers = superpacket.length - payload.length;
  const big = Buffer.concat([superpacket.subarray(0, headers), large]);
  big.writeUInt16BE(0, 16);
  const frame = Frame.of(big);
  t.equal(frame.ipv4?.totalLength, 0);
  t.ok(Buffer.from(frame.tcp?.payload ?? []).equals(large), 'the payload goes to the end of the frame');
  const pieces = cut(big, GSO.tcpv4, SIZE);
  t.equal(pieces.length, 200);
  t.ok(
    Buffer.concat(pieces.map((piece) => Frame.of(piece).tcp?.payload ?? new Uint8Array(0))).equals(large),
    'together they carry what it carried',
  );
  t.ok(
    pieces.every(
      (piece) => Frame.of(piece).ipv4?.totalLength === SIZE + headers - 14 && onesComplement(piece) === 0xffff,
    ),
    'each with its own length and checksum',
  );
});

t.test('what is not what its header says is not cut', async (t) => {
  const udp4 = ethernet(LINK, ipv4(V4, udp(PORTS, payload)));
  t.same(cut(udp4, GSO.tcpv4, SIZE), [], 'UDP that says TCP');
  t.same(cut(udp4, GSO.udpL4, 0), [], 'a segment size of 0');
  t.equal(new Segmenter().open(udp4, 0, udp4.length, GSO.udpL4, 1), payload.length, 'thousands of pieces are counted');
  t.same(cut(udp4.subarray(0, 40), GSO.udpL4, SIZE), [], 'cut off');
  t.same(cut(ethernet(LINK, ipv6(V6, tcp(TCP, payload))), GSO.tcpv4, SIZE), [], 'IPv6 that says IPv4');
  t.same(cut(ethernet(LINK, ipv4(V4, udp(PORTS))), GSO.udpL4, SIZE), [], 'nothing in it');
});
