// SPDX-License-Identifier: MIT
/** The headers that the page of `vnet-bpf web` decodes: each field has its value and its bytes. */
import t from 'tap';

import { arp, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, udp } from '../../src/packet/build';
import { TCP_FLAG } from '../../src/packet/headers';
import { bytesOf, decode } from '../../src/web/page/fields';
import { Random } from '../helpers/random';

const MACS = { source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' };
const IPV4 = { source: '192.168.100.1', destination: '10.77.0.2' };
const IPV6 = { source: 'fd00::1', destination: 'fd00::2' };

const namesOf = (frame: Uint8Array): string[] => decode(frame).map(({ name }) => name);

/** A field by the names of its header and of itself, as its value and its bytes. */
function field(frame: Uint8Array, header: string, name: string): [string, number, number] {
  const found = decode(frame)
    .find((each) => each.name === header)
    ?.fields.find((each) => each.name === name);
  if (!found) throw new Error(`${header} has no field ${name}`);
  return [found.value, found.from, found.to];
}

t.test('Ethernet and ARP', async (t) => {
  const frame = ethernet(
    MACS,
    arp({
      operation: 1,
      senderMac: MACS.source,
      senderIp: '192.168.100.1',
      targetMac: '00:00:00:00:00:00',
      targetIp: '192.168.100.2',
    }),
  );
  t.same(namesOf(frame), ['Ethernet', 'ARP']);
  t.same(field(frame, 'Ethernet', 'Destination'), ['02:00:00:00:00:01', 0, 6]);
  t.same(field(frame, 'Ethernet', 'Type'), ['0x0806 (ARP)', 12, 14]);
  t.same(field(frame, 'ARP', 'Operation'), ['1 (request)', 20, 22]);
  t.same(field(frame, 'ARP', 'Target IP'), ['192.168.100.2', 38, 42]);
});

t.test('a VLAN tag, IPv4 and an echo request', async (t) => {
  const frame = ethernet(
    { ...MACS, vlan: { id: 77, priority: 5 } },
    ipv4({ ...IPV4, ttl: 9, tos: 3, identification: 0xbeef }, icmp(8, 0, 0x12340007, new Uint8Array(3))),
  );
  t.same(namesOf(frame), ['Ethernet', 'VLAN tag', 'IPv4', 'ICMP', 'Payload']);
  t.same(field(frame, 'VLAN tag', 'Priority'), ['5', 14, 15]);
  t.same(field(frame, 'VLAN tag', 'VLAN'), ['77', 14, 16]);
  t.same(field(frame, 'IPv4', 'Header length'), ['5 (20 bytes)', 18, 19]);
  t.same(field(frame, 'IPv4', 'ECN'), ['3 (congestion experienced)', 19, 20]);
  t.same(field(frame, 'IPv4', 'Identification'), ['0xbeef', 22, 24]);
  t.same(field(frame, 'IPv4', 'Flags'), ["DON'T FRAGMENT", 24, 25]);
  t.same(field(frame, 'IPv4', 'Time to live'), ['9', 26, 27]);
  t.same(field(frame, 'IPv4', 'Source'), ['192.168.100.1', 30, 34]);
  t.same(field(frame, 'ICMP', 'Type'), ['8 (echo request)', 38, 39]);
  t.same(field(frame, 'ICMP', 'Identifier'), [String(0x1234), 42, 44]);
  t.same(field(frame, 'ICMP', 'Sequence number'), ['7', 44, 46]);
  t.same(field(frame, 'Payload', 'Bytes'), ['3', 46, 49]);
});

t.test('IPv6 and UDP; other messages of ICMPv6', async (t) => {
  const frame = ethernet(
    MACS,
    ipv6({ ...IPV6, flowLabel: 0x12345, trafficClass: 0xb9 }, udp({ sourcePort: 5353, destinationPort: 53 })),
  );
  t.same(namesOf(frame), ['Ethernet', 'IPv6', 'UDP']);
  t.same(field(frame, 'IPv6', 'DSCP'), ['46', 14, 16]);
  t.same(field(frame, 'IPv6', 'ECN'), ['1 (ECT(1))', 15, 16]);
  t.same(field(frame, 'IPv6', 'Flow label'), ['0x12345', 15, 18]);
  t.same(field(frame, 'IPv6', 'Next header'), ['17 (UDP)', 20, 21]);
  t.same(field(frame, 'IPv6', 'Destination'), ['fd00::2', 38, 54]);
  t.same(field(frame, 'UDP', 'Destination port'), ['53', 56, 58]);
  const tooBig = ethernet(MACS, ipv6(IPV6, icmpv6(2, 0, 1280)));
  t.same(field(tooBig, 'ICMPv6', 'Type'), ['2 (packet too big)', 54, 55]);
  t.same(field(tooBig, 'ICMPv6', 'Rest of header'), ['0x00000500', 58, 62]);
});

t.test('TCP with options and payload', async (t) => {
  const segment = tcp(
    {
      sourcePort: 54321,
      destinationPort: 443,
      sequence: 0xfffffff0,
      flags: TCP_FLAG.syn | TCP_FLAG.ack,
      options: new Uint8Array(8),
    },
    new Uint8Array(5),
  );
  const frame = ethernet(MACS, ipv4(IPV4, segment));
  t.same(namesOf(frame), ['Ethernet', 'IPv4', 'TCP', 'Payload']);
  t.same(field(frame, 'TCP', 'Sequence number'), [String(0xfffffff0), 38, 42]);
  t.same(field(frame, 'TCP', 'Data offset'), ['7 (28 bytes)', 46, 47]);
  t.same(field(frame, 'TCP', 'Flags'), ['SYN, ACK', 47, 48]);
  t.same(field(frame, 'TCP', 'Options'), ['8 bytes', 54, 62]);
  t.same(field(frame, 'Payload', 'Bytes'), ['5', 62, 67]);
});

t.test('a later fragment has payload where the first one has a header', async (t) => {
  const frame = ethernet(MACS, ipv4(IPV4, udp({ sourcePort: 1, destinationPort: 2 }, new Uint8Array(24))));
  t.same(namesOf(frame), ['Ethernet', 'IPv4', 'UDP', 'Payload']);
  new DataView(frame.buffer).setUint16(20, 3);
  t.same(namesOf(frame), ['Ethernet', 'IPv4', 'Payload']);
  t.same(field(frame, 'IPv4', 'Fragment offset'), ['3 (24 bytes)', 20, 22]);
});

t.test('padding behind an IP packet is not payload of UDP', async (t) => {
  const frame = ethernet(MACS, ipv4(IPV4, udp({ sourcePort: 1, destinationPort: 2 }, new Uint8Array(4))));
  const padded = new Uint8Array(60);
  padded.set(frame);
  t.same(namesOf(padded), ['Ethernet', 'IPv4', 'UDP', 'Payload', 'Padding']);
  t.same(field(padded, 'Payload', 'Bytes'), ['4', 42, 46]);
  t.same(field(padded, 'Padding', 'Bytes'), ['14', 46, 60]);
});

t.test('whatever the bytes are, decoding ends, and each byte is in one header', async (t) => {
  const random = Random.announced(t);
  const frames = [
    ethernet(MACS, ipv4(IPV4, tcp({ sourcePort: 1, destinationPort: 2, sequence: 3, flags: 2 }, new Uint8Array(40)))),
    ethernet(MACS, ipv6(IPV6, udp({ sourcePort: 1, destinationPort: 2 }, new Uint8Array(40)))),
  ];
  let wrong = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.pick(frames).slice(0, random.between(0, 110));
    for (let i = random.between(0, 6); i > 0 && bytes.length > 0; i--)
      bytes[random.between(0, bytes.length - 1)] = random.between(0, 255);
    const headers = decode(bytes);
    const borders = [0, ...headers.map(({ to }) => to)];
    const joined = headers.every(({ from, to }, i) => from === borders[i] && to > from);
    const inside = headers.every(({ fields, from, to }) =>
      fields.every((each) => from <= each.from && each.from < each.to && each.to <= to),
    );
    if (!joined || !inside || borders.at(-1) !== bytes.length) wrong++;
  }
  t.equal(wrong, 0, '20,000 frames, some of them cut off or with other bytes');
});

t.test('bytes in base64', async (t) => {
  t.same([...bytesOf(Buffer.from([0, 128, 255]).toString('base64'))], [0, 128, 255]);
  t.same([...bytesOf('<img src=x>')], [], 'none if it is not base64');
});
