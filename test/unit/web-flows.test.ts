// SPDX-License-Identifier: MIT
/** The conversations that the page of `vnet-bpf web` finds in frames: retransmissions, relative numbers, what is kept. */
import t from 'tap';

import {
  arp,
  ethernet,
  icmp,
  ipv4,
  ipv6,
  type Packet,
  type Segment,
  tcp,
  type TcpFields,
  udp,
} from '../../src/packet/build';
import { TCP_FLAG } from '../../src/packet/headers';
import { FIRST_KEPT, Flows, FLOWS_KEPT, LAST_KEPT } from '../../src/web/page/flows';
import { outcomeWords } from '../../src/web/page/outcome';
import { Sequence } from '../../src/web/page/sequence';
import type { Flow, Note, Step } from '../../src/web/page/steps';
import type { FrameSeen } from '../../src/web/protocol';

const MACS = { source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' };
const [CLIENT, SERVER] = ['10.77.0.2', '10.77.0.1'];
const { syn: SYN, ack: ACK, psh: PSH, fin: FIN, rst: RST } = TCP_FLAG;
/** Close to the end of the numbers, so that they wrap after a few bytes. */
const [CLIENT_ISN, SERVER_ISN] = [0xffff_ff00, 0x8000_0000];

/** Frames, one every millisecond, as the server of the page sends them. */
class Frames {
  readonly flows = new Flows();
  private number = 0;
  time = 1000;

  add(packet: Packet, more: Partial<FrameSeen> = {}): void {
    const bytes = ethernet(MACS, packet);
    this.flows.add({
      number: ++this.number,
      time: this.time++,
      length: bytes.length,
      summary: '',
      outcome: 'captured, reinjected after 0.100 ms',
      kind: 'passed',
      took: 0.1,
      bytes: Buffer.from(bytes.subarray(0, 256)).toString('base64'),
      ...more,
    });
  }

  ip(isClient: boolean, segment: Segment, more?: Partial<FrameSeen>): void {
    const [source, destination] = isClient ? [CLIENT, SERVER] : [SERVER, CLIENT];
    this.add(ipv4({ source, destination }, segment), more);
  }

  /** A segment of the client, or of the server; `sequence` and `acknowledgment` are relative. */
  tcp(
    isClient: boolean,
    flags: number,
    sequence: number,
    acknowledgment: number,
    payload = 0,
    more: Partial<FrameSeen> & { window?: number; port?: number } = {},
  ): void {
    const { window = 1000, port = 40_000, ...rest } = more;
    const [own, peer] = isClient ? [CLIENT_ISN, SERVER_ISN] : [SERVER_ISN, CLIENT_ISN];
    const fields: TcpFields = {
      sourcePort: isClient ? port : 80,
      destinationPort: isClient ? 80 : port,
      sequence: (own + sequence) >>> 0,
      acknowledgment: (flags & ACK) === 0 ? 0 : (peer + acknowledgment) >>> 0,
      flags,
      window,
    };
    this.ip(isClient, tcp(fields, new Uint8Array(payload)), rest);
  }

  handshake(): void {
    this.tcp(true, SYN, 0, 0);
    this.tcp(false, SYN | ACK, 0, 1);
    this.tcp(true, ACK, 1, 1);
  }

  get only(): Flow {
    const { list } = this.flows;
    if (list.length !== 1) throw new Error(`${list.length} conversations`);
    return list[0] as Flow;
  }
}

const stepsOf = ({ first, last }: Flow): Step[] => [...first, ...last];
const wordsOf = ({ notes }: { notes: readonly Note[] }): string => notes.map(({ text }) => text).join('; ');

const DROPPED = {
  kind: 'dropped',
  took: null,
  outcome: 'captured, dropped by faults after 0.050 ms; rule 1: tcp: drop',
} as const;

t.test('a connection from its SYN to its end, with numbers that wrap', async (t) => {
  const frames = new Frames();
  frames.handshake();
  frames.tcp(true, PSH | ACK, 1, 1, 200);
  frames.tcp(false, ACK, 1, 201);
  frames.tcp(true, PSH | ACK, 201, 1, 100);
  frames.tcp(false, PSH | ACK, 1, 301, 5000);
  t.equal(frames.only.state, 'open');
  frames.tcp(true, FIN | ACK, 301, 5001);
  t.equal(frames.only.state, 'closing');
  frames.tcp(false, FIN | ACK, 5001, 302);
  frames.tcp(true, ACK, 302, 5002);
  const flow = frames.only;
  t.match(flow, {
    protocol: 'TCP',
    client: '10.77.0.2:40000',
    server: '10.77.0.1:80',
    turn: 1,
    state: 'closed',
    frames: 10,
    again: 0,
    late: 0,
    lost: 0,
    began: 1000,
    ended: 1009,
    forgotten: 0,
  });
  t.same(
    stepsOf(flow).map(({ side, label, facts }) => `${side}: ${label}: ${facts}`),
    [
      'client: SYN: seq 0, window 1,000',
      'server: SYN ACK: seq 0, ack 1, window 1,000',
      'client: ACK: seq 1, ack 1, window 1,000',
      'client: PSH ACK, 200 bytes: seq 1, ack 1, window 1,000',
      'server: ACK: seq 1, ack 201, window 1,000',
      'client: PSH ACK, 100 bytes: seq 201, ack 1, window 1,000',
      'server: PSH ACK, 5,000 bytes: seq 1, ack 301, window 1,000',
      'client: FIN ACK: seq 301, ack 5,001, window 1,000',
      'server: FIN ACK: seq 5,001, ack 302, window 1,000',
      'client: ACK: seq 302, ack 5,002, window 1,000',
    ],
  );
  t.same(stepsOf(flow).map(wordsOf).join(''), '', 'nothing is remarkable about it');
});

t.test('a segment that is lost, duplicate ACKs, and its retransmission', async (t) => {
  const frames = new Frames();
  frames.handshake();
  frames.tcp(true, PSH | ACK, 1, 1, 100);
  frames.tcp(true, PSH | ACK, 101, 1, 100, DROPPED);
  frames.tcp(true, PSH | ACK, 201, 1, 100);
  frames.tcp(false, ACK, 1, 101);
  frames.tcp(false, ACK, 1, 101);
  frames.tcp(false, ACK, 1, 101);
  frames.time += 200;
  frames.tcp(true, PSH | ACK, 101, 1, 100);
  frames.tcp(false, ACK, 1, 301);
  const flow = frames.only;
  t.match(flow, { again: 1, lost: 1, late: 0 });
  t.same(stepsOf(flow).slice(3).map(wordsOf), [
    '',
    'lost: dropped by faults after 0.050 ms; rule 1: tcp: drop',
    '',
    '',
    'duplicate ACK 1',
    'duplicate ACK 2',
    'retransmission of frame 5, 205.0 ms after it',
    '',
  ]);
  frames.tcp(true, PSH | ACK, 151, 1, 250);
  t.equal(wordsOf(stepsOf(frames.only).at(-1) as Step), 'retransmission of frame 10, 2.0 ms after it', 'partly new');
});

t.test('a SYN that is lost is sent again; another SYN is another connection', async (t) => {
  const frames = new Frames();
  frames.tcp(true, SYN, 0, 0, 0, DROPPED);
  frames.time += 1000;
  t.equal(frames.only.state, 'open', 'nothing of it has arrived');
  frames.tcp(true, SYN, 0, 0);
  t.match(wordsOf(stepsOf(frames.only)[1] as Step), /^retransmission of frame 1, 1001\.0 ms after it$/);
  t.equal(frames.only.state, 'opening');
  frames.tcp(false, RST | ACK, 0, 1);
  t.equal(frames.only.state, 'reset');
  frames.tcp(true, SYN, 5000, 0);
  t.same(
    frames.flows.list.map(({ turn, frames: count, state }) => [turn, count, state]),
    [
      [2, 1, 'opening'],
      [1, 3, 'reset'],
    ],
  );
});

t.test('out of order: by its arrival, and by its numbers', async (t) => {
  const frames = new Frames();
  frames.handshake();
  frames.tcp(true, PSH | ACK, 1, 1, 100, {
    kind: 'delayed',
    took: 20,
    outcome: 'captured, delayed by faults for 20.0 ms after 0.010 ms',
  });
  const before = frames.only;
  frames.tcp(true, PSH | ACK, 101, 1, 100);
  t.match(frames.only, { late: 1, again: 0 });
  t.match(
    wordsOf(stepsOf(frames.only)[3] as Step),
    /^out of order: arrives after frame 5; delayed by faults for 20\.0 ms/,
  );
  t.equal(before.late, 0, 'what was taken before stays as it was');
  t.notMatch(wordsOf(stepsOf(before)[3] as Step), /order/);
  frames.tcp(true, PSH | ACK, 401, 1, 100);
  t.match(wordsOf(stepsOf(frames.only).at(-1) as Step), /follows 200 bytes that the page has not got/);
  frames.tcp(true, PSH | ACK, 201, 1, 200);
  t.match(wordsOf(stepsOf(frames.only).at(-1) as Step), /belongs before bytes that came earlier/);
  t.match(frames.only, { late: 2, again: 0 });
  frames.tcp(false, ACK, 1, 901);
  t.match(wordsOf(stepsOf(frames.only).at(-1) as Step), /acknowledges 400 bytes that the page has not got/);
  frames.tcp(true, PSH | ACK, 901, 1, 1);
  t.match(frames.only, { again: 0 }, 'and after them, nothing is a retransmission');
});

t.test('windows: scaled if both ends say so, closed, and opened again', async (t) => {
  const scaled = (shift: number): Uint8Array => Uint8Array.of(1, 3, 3, shift);
  const frames = new Frames();
  const segment = (isClient: boolean, flags: number, options: Uint8Array): void => {
    const [sourcePort, destinationPort] = isClient ? [40_000, 80] : [80, 40_000];
    const acknowledgment = (flags & ACK) === 0 ? 0 : CLIENT_ISN + 1;
    const sequence = isClient ? CLIENT_ISN : SERVER_ISN;
    const { protocol, bytes } = tcp(
      { sourcePort, destinationPort, sequence, acknowledgment, flags, window: 1000 },
      options,
    );
    bytes[12] = 6 << 4;
    frames.ip(isClient, { protocol, bytes });
  };
  segment(true, SYN, scaled(7));
  segment(false, SYN | ACK, scaled(2));
  frames.tcp(true, ACK, 1, 1, 0, { window: 10 });
  frames.tcp(true, PSH | ACK, 1, 1, 100, { window: 10 });
  frames.tcp(false, ACK, 1, 101, 0, { window: 0 });
  frames.tcp(true, ACK, 100, 1, 0, { window: 10 });
  frames.tcp(false, ACK, 1, 101, 0, { window: 500 });
  const steps = stepsOf(frames.only);
  t.same(
    steps.map(({ facts }) => /window (.*)/.exec(facts)?.[1]),
    ['1,000', '1,000', '1,280', '1,280', '0', '1,280', '2,000'],
  );
  t.same(steps.slice(4).map(wordsOf), ['the window is closed', 'asks for the window', 'more window']);
  const late = new Frames();
  late.tcp(true, ACK, 700, 900, 0);
  t.equal(
    stepsOf(late.only)[0]?.facts,
    'seq 1, ack 1, window 1,000 (not scaled)',
    'a connection that was open already',
  );
  t.equal(late.only.client, '10.77.0.2:40000', 'its client has the higher port');
});

t.test('UDP, pings between equal addresses, ARP, IPv6, and what has no IP', async (t) => {
  const frames = new Frames();
  frames.ip(true, udp({ sourcePort: 5353, destinationPort: 53 }, new Uint8Array(20)));
  frames.ip(false, udp({ sourcePort: 53, destinationPort: 5353 }, new Uint8Array(1)));
  t.match(frames.only, { protocol: 'UDP', client: '10.77.0.2:5353', server: '10.77.0.1:53', state: '', frames: 2 });
  t.same(
    stepsOf(frames.only).map(({ side, label }) => [side, label]),
    [
      ['client', '20 bytes'],
      ['server', '1 byte'],
    ],
  );
  const same = { source: SERVER, destination: SERVER };
  for (const [type, sequence] of [
    [8, 1],
    [0, 1],
    [8, 2],
  ] as const)
    // prettier-ignore
    frames.add(ipv4(same, icmp(type, 0, (7 << 16) | sequence)));
  frames.add(ipv4(same, icmp(8, 0, (8 << 16) | 1)));
  const [other, ping] = frames.flows.list as [Flow, Flow];
  t.equal(other.frames, 1, 'another ping');
  t.same(
    stepsOf(ping).map((step) => [step.side, step.label, wordsOf(step)]),
    [
      ['client', 'echo request 1', ''],
      ['server', 'echo reply 1', '1.000 ms after the request'],
      ['client', 'echo request 2', ''],
    ],
  );
  const [senderMac, targetMac] = [MACS.source, '00:00:00:00:00:00'];
  frames.add(arp({ operation: 1, senderMac, senderIp: CLIENT, targetMac, targetIp: SERVER }));
  frames.add(arp({ operation: 2, senderMac, senderIp: SERVER, targetMac, targetIp: CLIENT }));
  t.match(frames.flows.list[0], { protocol: 'ARP', client: CLIENT, server: SERVER, frames: 2 });
  frames.add(ipv6({ source: 'fd00::2', destination: 'fd00::1' }, udp({ sourcePort: 9, destinationPort: 8 })));
  t.match(frames.flows.list[0], { client: '[fd00::2]:9', server: '[fd00::1]:8' });
  frames.ip(true, { protocol: 132, bytes: new Uint8Array(12) });
  t.match(frames.flows.list[0], { protocol: 'SCTP' });
  const before = frames.flows.list.length;
  frames.add({ type: 0x88b5, bytes: new Uint8Array(46) });
  t.same([frames.flows.list.length, frames.flows.others], [before, 1]);
});

t.test('frames of any content, cut off anywhere, are no error', async (t) => {
  const frames = new Frames();
  const whole = ethernet(
    MACS,
    ipv4({ source: CLIENT, destination: SERVER }, tcp({ sourcePort: 1, destinationPort: 2, sequence: 0, flags: SYN })),
  );
  const add = (bytes: string): void =>
    frames.flows.add({
      number: 1,
      time: 0,
      length: 1500,
      summary: '',
      outcome: '',
      kind: 'unknown',
      took: null,
      bytes,
    });
  for (let length = 0; length <= whole.length; length++) add(Buffer.from(whole.subarray(0, length)).toString('base64'));
  add('*');
  t.ok(frames.flows.list.length > 0);
});

t.test('what is kept is bounded', async (t) => {
  const frames = new Frames();
  frames.handshake();
  for (let i = 0; i < 5000; i++) frames.tcp(true, ACK, 1 + i, 1, 1);
  const flow = frames.only;
  t.same([flow.first.length, flow.last.length, flow.forgotten], [FIRST_KEPT, LAST_KEPT, 5003 - FIRST_KEPT - LAST_KEPT]);
  t.equal(flow.last.at(-1)?.facts, 'seq 5,000, ack 1, window 1,000');
  frames.tcp(true, ACK, 100, 1, 1);
  t.equal(wordsOf(frames.only.last.at(-1) as Step), 'retransmission', 'of a frame that is not kept');

  for (let i = 0; i < 1000; i++) frames.ip(true, udp({ sourcePort: 1000 + i, destinationPort: 53 }, new Uint8Array(1)));
  t.equal(frames.flows.list.length, FLOWS_KEPT);
  t.match(frames.flows.list[0], { client: '10.77.0.2:1999' });
  for (let i = 0; i < 1000; i++) frames.tcp(true, SYN, i * 10, 0);
  t.equal(frames.flows.list.length, FLOWS_KEPT, 'connections of the same ends, too');
  t.match(frames.flows.list[0], { turn: 1000 });
});

t.test('numbers go on where those of the header wrap', async (t) => {
  const sequence = new Sequence();
  t.equal(sequence.relative(5, true), 0);
  let at = 5;
  for (let sent = 0; sent < 5 * 2 ** 32; sent += 2 ** 30) {
    t.equal(sequence.send(at >>> 0, 2 ** 30, false).from, sent);
    at = (at + 2 ** 30) % 2 ** 32;
  }
  t.equal(sequence.next, 5 * 2 ** 32);
  t.same(sequence.send((at - 10) >>> 0, 10, false), {
    from: 5 * 2 ** 32 - 10,
    to: 5 * 2 ** 32,
    order: 'again',
    missing: 0,
  });
});

t.test('the words of a comment', async (t) => {
  t.equal(outcomeWords('captured, reinjected after 0.087 ms; virtio_net_hdr 01002a'), 'reinjected after 0.087 ms');
  t.equal(outcomeWords('refused: full'), 'refused: full');
  const frames = new Frames();
  frames.handshake();
  const outcome = 'captured, held for 1.234 ms, reinjected after 0.087 ms';
  frames.tcp(true, ACK, 1, 1, 5, { outcome });
  t.equal(wordsOf(stepsOf(frames.only).at(-1) as Step), 'held for 1.234 ms');
});
