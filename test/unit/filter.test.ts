// SPDX-License-Identifier: MIT
/** Filters in tcpdump's syntax: libpcap compiles them, we run them as it does. */
import { spawnSync } from 'node:child_process';

import t from 'tap';

import { compileFilter } from '../../src/native/libpcap';
import { arp, ethernet, icmp, ipv4, ipv6, tcp, udp } from '../../src/packet';
import { type Instruction, PacketFilter, parseFilter } from '../../src/packet/filter';
import { GSO, Segmenter } from '../../src/packet/offload';
import { pcap } from '../helpers/pcap';
import { Random } from '../helpers/random';
import { withoutTools } from '../helpers/traffic';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const TAGGED = { ...LINK, vlan: { id: 5 } };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const PORTS = { sourcePort: 1234, destinationPort: 80 };
const payload = Uint8Array.from({ length: 100 }, (_, i) => i);
const FRAMES = [
  ethernet(LINK, ipv4(V4, tcp({ ...PORTS, sequence: 1, flags: 2 }, payload))),
  ethernet(
    LINK,
    ipv4(V4, tcp({ ...PORTS, sequence: 1, flags: 0x18, options: Uint8Array.from({ length: 12 }, () => 1) }, payload)),
  ),
  ethernet(LINK, ipv4({ ...V4, destination: '192.168.1.1' }, udp({ sourcePort: 53, destinationPort: 5353 }, payload))),
  ethernet(LINK, ipv4(V4, icmp(8, 0, 0, payload))),
  ethernet(LINK, ipv6(V6, tcp({ ...PORTS, sequence: 1, flags: 0x11 }, payload))),
  ethernet(LINK, ipv6(V6, udp(PORTS))),
  ethernet(TAGGED, ipv4(V4, udp(PORTS, payload))),
  ethernet(
    LINK,
    arp({
      operation: 1,
      senderMac: LINK.source,
      senderIp: '10.77.0.1',
      targetMac: LINK.destination,
      targetIp: '10.77.0.2',
    }),
  ),
  ethernet(LINK, { type: 0x88b5, bytes: payload }),
].map((bytes) => Buffer.from(bytes));

const EXPRESSIONS = [
  'tcp',
  'udp port 53',
  'tcp port 80 and not arp',
  'ip6',
  'arp or icmp',
  'host 10.77.0.1',
  'src net 192.168.0.0/16',
  'dst host fd77::2',
  'vlan 5',
  'vlan and udp',
  'not ip',
  'tcp[tcpflags] & tcp-syn != 0',
  'ip[8] >= 64',
  'len > 100',
  'less 60',
  'ether src 02:00:00:00:00:01',
  'ether proto 0x88b5',
  'tcp[(tcp[12] >> 4) * 4 + 3] = 3',
  'portrange 50-90',
  'ether[14:4] & 0xff00ff00 = 0x45000000',
  'ip[2:2] - 40 > 50',
  'ip[2:2] % 3 = 1 or ip[2:2] * 7 > 900',
  'ip6 protochain 6',
  'udp[8:4] = 0x00010203',
  'ether multicast',
  'icmp[icmptype] = icmp-echo',
  'ip[0] / (ip[1] + 0) = 3',
  '-ip[8] & 0xff = 0xc0',
];

t.test('frames match as they do for tcpdump', { skip: withoutTools('tcpdump') }, async (t) => {
  const file = t.testdir({ 'x.pcap': pcap(FRAMES) });
  for (const expression of EXPRESSIONS) {
    const { stdout, status, stderr } = spawnSync('tcpdump', ['-n', '-tt', '-r', `${file}/x.pcap`, '--', expression], {
      encoding: 'latin1',
    });
    if (status !== 0) throw new Error(`tcpdump ${expression}: ${stderr}`);
    // A frame's number is in its timestamp, in milliseconds.
    const expected = stdout
      .split('\n')
      .flatMap((line) => (/^\d/.test(line) ? [Math.round(parseFloat(line) * 1000)] : []));
    const filter = parseFilter(expression);
    t.same(
      FRAMES.flatMap((bytes, i) => (filter.matches(bytes, 0, bytes.length, bytes.length) ? [i] : [])),
      expected,
      expression,
    );
  }
});

t.test('damaged frames match as they do for libpcap, interpreted and compiled', async (t) => {
  const random = Random.announced(t);
  const native = libpcapFilter();
  const different: string[] = [];
  for (const expression of EXPRESSIONS) {
    const compiled = compileFilter(expression);
    if ('error' in compiled) throw new Error(compiled.error);
    const program = new Uint8Array(compiled.instructions.buffer);
    const filter = parseFilter(expression);
    const quick = filter.compiled();
    for (let n = 0; n < 300; n++) {
      const frame = Uint8Array.from(random.pick(FRAMES));
      for (let flips = random.between(0, 6); flips > 0; flips--)
        frame[random.between(0, Math.min(60, frame.length) - 1)] = random.bits() & 0xff;
      const captured = random.chance(70) ? frame.length : random.between(0, frame.length);
      const expected = native(program, frame, frame.length, captured) !== 0;
      if (filter.matches(frame, 0, captured, frame.length) !== expected)
        different.push(`interpreted: ${expression}, ${Buffer.from(frame).toString('hex')}, ${captured}`);
      if (quick(frame, 0, captured, frame.length) !== expected)
        different.push(`compiled: ${expression}, ${Buffer.from(frame).toString('hex')}, ${captured}`);
    }
  }
  t.same(different, []);
});

/** bpf_filter of libpcap: the program, the frame, its length on the wire, and as captured. */
function libpcapFilter(): (program: Uint8Array, frame: Uint8Array, length: number, captured: number) => number {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const koffi = require('koffi') as { load(name: string): { func(prototype: string): unknown } };
  return koffi
    .load('libpcap.so.0.8')
    .func(
      'unsigned int bpf_filter(const uint8_t *program, const uint8_t *frame, unsigned int length, unsigned int captured)',
    ) as ReturnType<typeof libpcapFilter>;
}

t.test('filters that say the same of a superpacket and of its segments are known', async (t) => {
  const superpacket = (packet: typeof ipv4 | typeof ipv6, of: typeof V4): Uint8Array =>
    ethernet(LINK, packet(of, tcp({ ...PORTS, sequence: 9, flags: 0x18 }, new Uint8Array(5000).fill(7))));
  const different: string[] = [];
  for (const [frame, type] of [
    [superpacket(ipv4, V4), GSO.tcpv4],
    [superpacket(ipv6, V6), GSO.tcpv6],
  ] as const) {
    const segmenter = new Segmenter();
    const count = segmenter.open(frame, 0, frame.length, type, 1000);
    const pieces = Array.from({ length: count }, (_, i) => {
      const piece = new Uint8Array(segmenter.lengthOf(i));
      segmenter.write(i, piece);
      return piece;
    });
    t.equal(count, 5);
    for (const expression of EXPRESSIONS) {
      const filter = parseFilter(expression);
      const whole = filter.matches(frame, 0, frame.length, frame.length);
      if (
        filter.looksAtFlowOnly &&
        pieces.some((piece) => filter.matches(piece, 0, piece.length, piece.length) !== whole)
      )
        different.push(expression);
    }
  }
  t.same(different, []);
  const sure = (expressions: readonly string[]): boolean[] =>
    expressions.map((expression) => parseFilter(expression).looksAtFlowOnly);
  t.same(
    new Set(
      sure([
        'tcp port 443',
        'udp',
        'host 10.77.0.1',
        'ip6 net fd00::/8',
        'portrange 1-5',
        'arp or icmp',
        'ether host 02:00:00:00:00:01',
        'ip[8] > 3',
      ]),
    ),
    new Set([true]),
  );
  t.same(
    new Set(
      sure([
        'len > 100',
        'less 60',
        'tcp[tcpflags] & tcp-syn != 0',
        'ip[2:2] > 40',
        'ip[4:2] = 1',
        'tcp[4:4] > 5',
        'udp[8:4] = 1',
        'ether[38:4] = 5',
        'ether[54:2] = 5',
        'ip6[4:2] > 9',
        'vlan and tcp port 80',
        'ip6 protochain 6',
      ]),
    ),
    new Set([false]),
  );
});

t.test('a frame somewhere in memory, and one of which too little is there', async (t) => {
  const memory = Buffer.concat([Buffer.alloc(100, 0xff), FRAMES[0] as Buffer, Buffer.alloc(100, 0xff)]);
  const length = (FRAMES[0] as Buffer).length;
  t.equal(parseFilter('tcp dst port 80').matches(memory, 100, length, length), true);
  t.equal(parseFilter('tcp dst port 80').matches(memory, 100, 37, length), false, 'the port is not whole');
  t.equal(parseFilter('len = 5000').matches(memory, 100, 60, 5000), true, 'its length is that on the wire');
  t.equal(parseFilter('tcp port 80').bytesNeeded >= 38, true);
  t.equal(parseFilter('ether proto 0x88b5').bytesNeeded, 14);
  t.equal(parseFilter('tcp[(tcp[12] >> 4) * 4 + 3] = 3').bytesNeeded, Infinity, 'that depends on the frame');
  for (const expression of EXPRESSIONS) {
    const filter = parseFilter(expression);
    for (const bytes of FRAMES) {
      const few = Math.min(bytes.length, filter.bytesNeeded);
      t.equal(
        filter.matches(bytes, 0, few, bytes.length),
        filter.matches(bytes, 0, bytes.length, bytes.length),
        `${expression}: no more than ${filter.bytesNeeded} bytes are looked at`,
      );
    }
  }
});

t.test('what is no filter, and no libpcap', async (t) => {
  t.throws(() => parseFilter('tcp porty 80'), {
    code: 'USAGE',
    message: /^filter "tcp porty 80": .*syntax error/,
    hint: /pcap-filter/,
  });
  t.throws(() => parseFilter('tcp and udp'), { code: 'USAGE', message: /rejects all packets/ });
  t.throws(() => parseFilter('x'.repeat(20_000)), { code: 'USAGE', message: /more than 16384/ });
  t.throws(() => parseFilter('tcp\0 or udp'), { code: 'USAGE', message: /zero byte/ });
  t.equal(parseFilter('').matches(FRAMES[0] as Buffer, 0, 60, 60), true, 'an empty one matches all');
  t.throws(() => compileFilter('tcp', ['libpcap-of-nobody.so']), {
    code: 'LIBPCAP_MISSING',
    message: /cannot load libpcap-of-nobody/,
    hint: /apt-get install libpcap0.8/,
  });
});

t.test('programs of any bytes end, or are refused', async (t) => {
  const random = Random.announced(t);
  const codes = [
    0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x04, 0x0c, 0x14, 0x2c,
    0x34, 0x3c, 0x94, 0x9c, 0x64, 0x6c, 0x74, 0x84, 0x05, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x06, 0x16, 0x07, 0x87,
  ];
  const counts = { ran: 0, refused: 0 };
  const different: string[] = [];
  for (let n = 0; n < 5000; n++) {
    const program = Array.from({ length: random.between(1, 12) }, (): Instruction => ({
      code: random.pick(codes),
      jt: random.between(0, 4),
      jf: random.between(0, 4),
      k: random.pick([0, 1, 2, 12, 14, 31, 32, 0xffffffff, random.bits()]),
    }));
    program.push({ code: random.chance(90) ? 0x06 : random.bits() & 0xffff, jt: 0, jf: 0, k: 1 });
    const frame = random.pick(FRAMES);
    try {
      const filter = new PacketFilter('', program);
      const expected = filter.matches(frame, 0, 60, 60);
      if (filter.compiled()(frame, 0, 60, 60) !== expected) different.push(JSON.stringify(program));
      counts.ran++;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      counts.refused++;
    }
  }
  t.ok(counts.ran > 200 && counts.refused > 200, JSON.stringify(counts));
  t.same(different, [], 'what runs gives the same when it is compiled');
});
