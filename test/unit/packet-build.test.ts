// SPDX-License-Identifier: MIT
/** Frames that are made are read back as what they are, and have the checksums that others compute. */
import t from 'tap';

import {
  arp,
  ethernet,
  fixChecksums,
  Frame,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  tcp,
  TCP_FLAG,
  udp,
  type Packet,
} from '../../src/packet';
import { ipv6Bytes, ipv6Text, macBytes } from '../../src/packet/addresses';
import { onesComplement } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const PORTS = { sourcePort: 1234, destinationPort: 53 };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

t.test('addresses as text, and back', async (t) => {
  for (const address of [
    '::',
    '::1',
    'fd00::1',
    'fd00:0:1::',
    '1:2:3:4:5:6:7:8',
    '1:0:3:4:5:6:7:8',
    'fe80::1:0:0:5',
    '2001:db8::ffff',
  ]) {
    t.equal(ipv6Text(ipv6Bytes(address), 0), address, address);
  }
  t.equal(ipv6Text(ipv6Bytes('::ffff:10.0.0.1'), 0), '::ffff:a00:1');
  t.throws(() => ipv6Bytes('fe80::1%eth0'), RangeError);
  t.throws(() => macBytes('02:00'), RangeError);
});

for (const [version, packetOf] of [
  ['IPv4', (segment: Parameters<typeof ipv4>[1]): Packet => ipv4(V4, segment)],
  ['IPv6', (segment: Parameters<typeof ipv4>[1]): Packet => ipv6(V6, segment)],
] as const) {
  for (const payload of ['', 'x', 'even', 'uneven!', 'y'.repeat(1400)]) {
    t.test(`UDP and TCP of ${payload.length} bytes in ${version}`, async (t) => {
      const datagram = Frame.of(ethernet(LINK, packetOf(udp(PORTS, text(payload)))));
      t.match(datagram.udp, { ...PORTS, length: payload.length + 8 });
      t.equal(Buffer.from(datagram.udp?.payload ?? []).toString(), payload);
      t.equal(datagram.tcp, null);
      t.equal(onesComplement(datagram.bytes), 0xffff, 'the checksum of UDP is right');
      const numbers = {
        sequence: 0xfffffff0,
        acknowledgment: 7,
        flags: TCP_FLAG.syn | TCP_FLAG.ack,
        window: 1000,
        options: Uint8Array.of(2, 4, 5, 180),
      };
      const segment = Frame.of(ethernet(LINK, packetOf(tcp({ ...PORTS, ...numbers }, text(payload)))));
      t.match(segment.tcp, {
        ...PORTS,
        sequence: 0xfffffff0,
        acknowledgment: 7,
        syn: true,
        ack: true,
        fin: false,
        window: 1000,
        headerLength: 24,
      });
      t.equal(Buffer.from(segment.tcp?.payload ?? []).toString(), payload);
      t.equal(onesComplement(segment.bytes), 0xffff, 'and that of TCP');
      t.equal(segment.ip?.protocol, 6);
    });
  }
}

t.test('fields of IP', async (t) => {
  const four = Frame.of(
    ethernet(LINK, ipv4({ ...V4, ttl: 3, tos: 0xb8, identification: 77 }, icmp(8, 0, 0x00010002, text('ping')))),
  );
  t.match(four.ipv4, {
    ...V4,
    ttl: 3,
    tos: 0xb8,
    identification: 77,
    headerLength: 20,
    totalLength: 32,
    dontFragment: true,
    sourceBits: 0x0a4d0001,
  });
  t.match(four.icmp, { type: 8, code: 0, identifier: 1, sequence: 2 });
  t.equal(four.ipv6, null);
  const six = Frame.of(
    ethernet(
      LINK,
      ipv6({ ...V6, hopLimit: 255, trafficClass: 0xb8, flowLabel: 0xabcde }, icmpv6(128, 0, 3, text('ping'))),
    ),
  );
  t.match(six.ipv6, { ...V6, hopLimit: 255, trafficClass: 0xb8, flowLabel: 0xabcde, payloadLength: 12 });
  t.equal(onesComplement(six.bytes), 0xffff);
  t.equal(six.ipv4, null);
});

t.test('ARP, and a VLAN tag', async (t) => {
  const fields = {
    operation: 1 as const,
    senderMac: LINK.source,
    senderIp: '10.0.0.1',
    targetMac: '00:00:00:00:00:00',
    targetIp: '10.0.0.2',
  };
  const frame = Frame.of(ethernet({ ...LINK, vlan: { id: 77, priority: 5 } }, arp(fields)));
  t.match(frame.arp, fields);
  t.match(frame.vlan, { tpid: 0x8100, id: 77, priority: 5 });
  t.match(frame.ethernet, { ...LINK, type: 0x0806, isGroup: false });
  t.equal(frame.length, 14 + 4 + 28);
});

t.test('what is cut off is not there', async (t) => {
  const whole = ethernet(LINK, ipv4(V4, udp(PORTS, text('hello'))));
  for (let length = 0; length < whole.length; length++) {
    const frame = Frame.of(whole.subarray(0, length));
    t.equal(frame.ipv4 !== null, length >= 34, `${length} bytes: IPv4`);
    t.equal(frame.udp !== null, length >= 42, `${length} bytes: UDP`);
    t.doesNotThrow(() => fixChecksums(whole.slice(0, length)));
  }
});

t.test('fixChecksums makes up for any change, and leaves fragments alone', async (t) => {
  const frame = ethernet(LINK, ipv4(V4, udp(PORTS, text('hello'))));
  frame[29] = 99; // the source address
  frame[45] = 0x20;
  t.not(onesComplement(frame), 0xffff);
  t.equal(onesComplement(fixChecksums(frame)), 0xffff);
  const fragment = ethernet(LINK, ipv4(V4, udp(PORTS, text('hello'))));
  fragment[20] = 0x20; // more fragments
  const before = fragment.slice(34);
  t.same(fixChecksums(fragment).slice(34), before);
  t.equal(Frame.of(fragment).ipv4?.isFragment, true);
});

t.test('IPv6 extension headers are passed over; later fragments have no ports', async (t) => {
  const inner = ethernet(LINK, ipv6(V6, udp(PORTS, text('hello'))));
  const withHeader = (kind: number, header: number[]): Frame => {
    const bytes = Uint8Array.from([...inner.subarray(0, 54), 17, ...header, ...inner.subarray(54)]);
    bytes[20] = kind;
    bytes[19] = (bytes[19] as number) + header.length + 1;
    return Frame.of(bytes);
  };
  t.equal(withHeader(0, [0, 0, 0, 0, 0, 0, 0]).udp?.destinationPort, 53, 'hop-by-hop');
  t.equal(
    withHeader(60, [1, ...Array<number>(14).fill(0)]).udp?.destinationPort,
    53,
    'destination options of 16 bytes',
  );
  t.equal(withHeader(44, [0, 0, 1, 0, 0, 0, 1]).udp?.destinationPort, 53, 'the first fragment');
  t.equal(withHeader(44, [0, 0x05, 0xa8, 0, 0, 0, 1]).udp, null, 'a later one');
});

t.test('where a fragment begins, and whether the first one hides its ports', async (t) => {
  const v4 = (units: number, bytes: number): Frame => {
    const frame = ethernet(LINK, ipv4(V4, tcp({ ...PORTS, sequence: 1, flags: 2 }))).slice(0, 34 + bytes);
    frame[17] = 20 + bytes;
    frame.set([0x20 | (units >>> 8), units & 255], 20);
    return Frame.of(frame);
  };
  const v6 = (units: number, next: number, payload: number[]): Frame => {
    const header = [next, 0, units >>> 5, ((units << 3) & 0xff) | 1, 0, 0, 0, 1];
    return Frame.of(ethernet(LINK, ipv6(V6, { protocol: 44, bytes: Uint8Array.from([...header, ...payload]) })));
  };
  const routing = [60, 1, 253, 0, ...Array<number>(12).fill(0)];
  for (const [what, frame, offset, port] of [
    ['a whole packet', Frame.of(ethernet(LINK, ipv4(V4, udp(PORTS, text('hello'))))), 0, 53],
    ['IPv4, all of TCP', v4(0, 20), 0, 53],
    ['IPv4, 8 bytes of TCP', v4(0, 8), 0, undefined],
    ['IPv4, the last there can be', v4(0x1fff, 20), 65528, undefined],
    ['IPv6, among the extension headers', v6(0, 43, routing), 0, undefined],
    ['IPv6, the second', v6(2, 43, routing), 16, undefined],
    ['IPv6, the last there can be', v6(0x1fff, 17, routing), 65528, undefined],
  ] as const) {
    t.equal(frame.ip?.fragmentOffset, offset, what);
    t.equal((frame.udp ?? frame.tcp)?.destinationPort, port, what);
  }
});
