// SPDX-License-Identifier: MIT
/** Which frames a rule is about, and that this depends on seed, rule, connection and number alone. */
import t from 'tap';

import { Connections } from '../../src/faults/connections';
import { Dice, hashOf } from '../../src/faults/dice';
import type { Match } from '../../src/faults/rules';
import { Frame } from '../../src/packet';
import { ACK, datagram, rule, segment, SYN, TestEngine } from '../helpers/fault-frames';
import { Random } from '../helpers/random';

const drops = (match: Match): TestEngine => new TestEngine([rule(match, { kind: 'drop' })]);
const of = (count: number, frame: () => Uint8Array = () => datagram()): Uint8Array[] =>
  Array.from({ length: count }, frame);

t.test('nth, every and first count the frames of each connection that match', async (t) => {
  t.same(drops({ filter: 'udp port 53', nth: [2] }).dropped(of(5)), [2]);
  t.same(drops({ nth: [1, 4] }).dropped(of(5)), [1, 4]);
  t.same(drops({ every: 3 }).dropped(of(10)), [3, 6, 9]);
  t.same(drops({ first: 2 }).dropped(of(5)), [1, 2]);
  t.same(drops({ every: 2, first: 5 }).dropped(of(10)), [2, 4]);
  t.same(drops({}).dropped(of(3)), [1, 2, 3], 'without any of them, all');
  const engine = drops({ filter: 'udp port 53', nth: [2] });
  const mixed = [
    datagram(),
    datagram({ serverPort: 54 }),
    datagram({ clientPort: 40001 }),
    datagram({ clientPort: 40001 }),
    datagram(),
  ];
  t.same(engine.dropped(mixed), [4, 5], 'by connection, and only what the filter matches');
});

t.test('the client is who opened the connection', async (t) => {
  const both = [datagram(), datagram({}, 'server'), datagram(), datagram({}, 'server')];
  t.same(drops({ from: 'client' }).dropped(both), [1, 3]);
  t.same(drops({ from: 'server' }).dropped(both), [2, 4]);
  t.same(drops({ from: 'server', nth: [2] }).dropped(both), [4], 'frames of the other side do not count');
  const handshake = [
    segment({ sequence: 9, flags: SYN }),
    segment({ sequence: 5, flags: SYN | ACK, acknowledgment: 10 }, {}, 'server'),
    segment({ sequence: 10, flags: ACK, acknowledgment: 6 }),
  ];
  t.same(drops({ from: 'server' }).dropped(handshake), [2]);
  t.same(drops({ from: 'server' }).dropped(handshake.slice(1)), [1], 'also if the SYN was not seen');
  t.same(
    drops({ from: 'client' }).dropped([segment({ sequence: 5, flags: ACK }, {}, 'server'), ...handshake.slice(2)]),
    [2],
    "or nothing of the handshake: the lower port is the server's",
  );
});

t.test('the same client port again opens another connection only with another SYN', async (t) => {
  const engine = drops({ nth: [3] });
  const syn = (sequence: number): Uint8Array => segment({ sequence, flags: SYN });
  t.same(engine.dropped([syn(1), syn(1), syn(1)]), [3], 'retransmissions');
  t.same(engine.dropped([syn(2), syn(2), syn(2)]), [3]);
  t.same(
    engine.log.map(({ connection }) => connection),
    ['tcp 10.77.0.1 > 10.77.0.2:80 #1', 'tcp 10.77.0.1 > 10.77.0.2:80 #2'],
  );
});

t.test('connection: one of several between the same two, and each direction of it', async (t) => {
  const frames = [40001, 40002, 40003].flatMap((clientPort) => [
    datagram({ clientPort }),
    datagram({ clientPort }, 'server'),
    datagram({ clientPort, serverPort: 54 }),
  ]);
  t.same(drops({ connection: 2 }).dropped(frames), [4, 5, 6]);
  t.same(drops({ filter: 'udp port 53', connection: 3, from: 'server', nth: [1] }).dropped(frames), [8]);
  t.same(drops({ connection: 4 }).dropped(frames), []);
});

t.test('after: from the next frame of the connection on', async (t) => {
  const engine = drops({ filter: 'udp', after: { filter: 'udp', nth: [2] }, first: 1 });
  t.same(engine.dropped(of(5)), [3]);
  t.same(
    engine.dropped([datagram({ clientPort: 40001 }), datagram({ clientPort: 40001 }), datagram({ clientPort: 40001 })]),
    [3],
    'each for itself',
  );
});

t.test('between: by the time since the first frame of the connection', async (t) => {
  const engine = drops({ between: [100, 200] });
  t.same(
    [1000, 1099, 1100, 1150, 1199, 1200].map((now) => engine.judge(datagram(), now)),
    ['pass', 'pass', 'drop', 'drop', 'drop', 'pass'],
  );
  t.same(
    [1150, 1250].map((now) => engine.judge(datagram({ clientPort: 40001 }), now)),
    ['pass', 'drop'],
  );
});

t.test('a byte of a TCP stream, however it is segmented', async (t) => {
  const random = Random.announced(t);
  for (let run = 0; run < 100; run++) {
    const engine = drops({ filter: 'tcp', from: 'client', atByte: 100_000 });
    const start = random.pick([0, 1, 0xffffffff - 50_000, 0xffffffff, random.bits()]);
    engine.judge(segment({ sequence: start, flags: SYN }));
    engine.judge(segment({ sequence: 77, flags: SYN | ACK }, {}, 'server'));
    let dropped: number[] = [];
    for (let at = 0; at < 200_000;) {
      const bytes = random.between(1, 9000);
      const frame = segment({ sequence: (start + 1 + at) >>> 0, flags: ACK, bytes });
      const verdict = engine.judge(frame);
      if (verdict === 'drop') dropped.push(at, at + bytes);
      if (verdict === 'drop') t.equal(engine.judge(frame), 'pass', 'not its retransmission');
      engine.judge(segment({ sequence: 78, flags: ACK }, {}, 'server'));
      at += bytes;
    }
    if (!(dropped.length === 2 && (dropped[0] as number) <= 100_000 && (dropped[1] as number) > 100_000))
      t.fail(`from ${start}: dropped ${dropped.join(' to ')}`);
    dropped = [];
  }
  const both = drops({ atByte: 0 });
  both.judge(segment({ sequence: 5, flags: SYN }));
  both.judge(segment({ sequence: 7, flags: SYN | ACK }, {}, 'server'));
  t.equal(both.judge(segment({ sequence: 6, flags: ACK })), 'pass', 'there is nothing in it');
  t.equal(both.judge(segment({ sequence: 6, flags: ACK, bytes: 1 })), 'drop');
  t.equal(both.judge(segment({ sequence: 8, flags: ACK, bytes: 1 }, {}, 'server')), 'drop', 'once in each direction');
  const again = drops({ atByte: 0, first: 2 });
  again.judge(segment({ sequence: 5, flags: SYN }));
  t.same(again.dropped(of(3, () => segment({ sequence: 6, flags: ACK, bytes: 1 }))), [1, 2], 'and as often as is said');
});

t.test('a stream of more than 4 GiB', async (t) => {
  const far = 3 * 2 ** 32 + 12345;
  const engine = drops({ atByte: far });
  engine.judge(segment({ sequence: 100, flags: SYN }));
  const step = 2 ** 30;
  const seen: number[] = [];
  for (let at = 0; at < 4 * 2 ** 32; at += step)
    if (engine.judge(segment({ sequence: (101 + at + (far % step)) % 2 ** 32, flags: ACK, bytes: 10 })) === 'drop')
      seen.push(at + (far % step));
  t.same(seen, [far]);
});

t.test('a function decides, too', async (t) => {
  const engine = drops({ filter: 'udp', test: (frame: Frame) => (frame.udp?.payload.length ?? 0) > 20, nth: [2] });
  t.same(engine.dropped([datagram(), datagram({}, 'client', 30), datagram({}, 'client', 30)]), [3]);
});

t.test(
  'ten rules, eight connections: however they interleave and whatever their ports, the same happens',
  async (t) => {
    const random = Random.announced(t);
    const rules = [
      rule({ filter: 'udp', probability: 0.2 }, { kind: 'drop' }),
      rule({ filter: 'udp', from: 'server' }, { kind: 'loss', probability: 0.1 }),
      rule({ filter: 'udp port 53' }, { kind: 'delay', ms: 40, jitterMs: 10, distribution: 'normal', unordered: true }),
      rule({ every: 7 }, { kind: 'duplicate', copies: 1 }),
      rule({ nth: [5] }, { kind: 'corrupt', part: 'payload', bit: null, valid: false }),
      rule({}, { kind: 'gemodel', p: 0.1, r: 0.3, bad: 1, good: 0 }),
      rule({ filter: 'tcp[tcpflags] & tcp-syn != 0', probability: 0.5 }, { kind: 'drop' }),
      rule({ filter: 'icmp' }, { kind: 'drop' }),
      rule({ first: 3 }, { kind: 'truncate', bytes: 40 }),
      rule(
        { after: { nth: [3] }, first: 2 },
        { kind: 'delay', ms: 5, jitterMs: 5, distribution: 'uniform', unordered: true },
      ),
    ];
    const run = (seed: number): string[] => {
      const engine = new TestEngine(rules, seed);
      const base = random.between(32768, 60000);
      const next = Array<number>(8).fill(0);
      // Connections appear in their order; from then on, any is next.
      for (let i = 0; i < 8 * 60;) {
        const c = random.between(0, 7);
        if (next[c] === 0 && c > 0 && next[c - 1] === 0) continue;
        if ((next[c] as number) >= 60) continue;
        const number = next[c]!++;
        i++;
        engine.judge(
          datagram({ clientPort: base + c }, number % 3 === 2 ? 'server' : 'client', 20 + number),
          random.between(0, 10_000),
        );
      }
      return engine.log
        .map(
          ({ rule: by, connection, n, from, frame, effect }) => `${by} ${connection} ${n} ${from} ${frame} ${effect}`,
        )
        .sort();
    };
    const first = run(7);
    t.ok(first.length > 500, `${first.length} faults`);
    for (let again = 0; again < 20; again++)
      if (JSON.stringify(run(7)) !== JSON.stringify(first)) t.fail('another log');
    t.not(JSON.stringify(run(8)), JSON.stringify(first), 'another seed, another log');
  },
);

t.test('a server on a port that the kernel picks', async (t) => {
  const run = (serverPort: number): unknown[] => {
    const engine = drops({ probability: 0.5 });
    return engine.dropped(of(50, () => datagram({ serverPort })));
  };
  t.same(run(40123), run(51234));
  t.notSame(run(53), run(54), 'others have their own luck');
});

t.test('one rule has no influence on the luck and the counting of others', async (t) => {
  const loss = rule({}, { kind: 'loss', probability: 0.3 });
  const alone = new TestEngine([rule({ filter: 'tcp' }, { kind: 'drop' }), loss]);
  const behind = new TestEngine([rule({ every: 2 }, { kind: 'drop' }), loss]);
  const frames = of(200);
  frames.forEach((frame) => [alone.judge(frame), behind.judge(frame)]);
  const odd = (engine: TestEngine): number[] =>
    engine.log.filter(({ rule: by, n }) => by === 2 && n % 2 === 1).map(({ n }) => n);
  t.same(odd(behind), odd(alone));
});

t.test('a rule sees each frame as it was sent, whatever others have done to it', async (t) => {
  const engine = new TestEngine([
    // The last bit of the server's port: 52 rather than 53.
    rule({ filter: 'udp port 53' }, { kind: 'corrupt', part: 'transport', bit: 31, valid: true }),
    rule({ filter: 'udp port 53', nth: [2] }, { kind: 'drop' }),
    rule({ filter: 'udp port 52' }, { kind: 'drop' }),
  ]);
  t.same(
    of(3).map((frame) => engine.judge(frame)),
    ['changed', 'drop changed', 'changed'],
  );
});

t.test('connections that no rule can be about are skipped, and only these', async (t) => {
  const skips = (rules: readonly Match[], frame: Uint8Array): boolean =>
    new TestEngine(rules.map((match) => rule(match, { kind: 'drop' }))).engine.skips(Frame.of(frame));
  for (const filter of [
    'tcp port 443',
    'tcp and (host 10.77.0.9 or port 80)',
    'ip6 host fd77::9',
    'not udp',
    'net 10.1.0.0/16',
    'udp portrange 60-70',
    'arp',
    'host 10.77.0.2 && udp port 54',
    '!ip',
    // Connections of another protocol, whatever else the rule looks at.
    'tcp dst port 443',
    'tcp[13] & 2 != 0',
    'icmp and len > 100',
    'tcp src port 80 or (tcp and greater 1000)',
  ])
    t.equal(skips([{ filter, nth: [1] }], datagram()), true, filter);
  for (const filter of [
    'udp',
    'port 53',
    'udp dst port 443',
    'src host 10.77.0.9',
    'vlan and tcp',
    'udp[8] = 1',
    'len > 1000',
    'ether host 02:00:00:00:00:09',
    'ip[8] = 3',
  ])
    t.equal(skips([{ filter, nth: [1] }], datagram()), false, filter);
  t.equal(skips([{}], datagram()), false);
  t.equal(skips([{ filter: 'tcp', after: { filter: 'udp' } }], datagram()), false);
  t.equal(skips([{ filter: 'tcp', after: { filter: 'tcp port 80' } }], datagram()), true);
  t.equal(skips([{ filter: 'tcp' }, { filter: 'udp' }], datagram()), false);
  const cut = new TestEngine([rule({ filter: 'udp' }, { kind: 'cut', ms: 10 })]);
  cut.judge(datagram());
  t.equal(cut.engine.skips(Frame.of(segment({ sequence: 1, flags: SYN }))), false, 'nor after a cut');
});

t.test('connections beyond the limit: the one that was silent longest is forgotten', async (t) => {
  const connections = new Connections(() => 0, 3);
  const see = (clientPort: number): string =>
    connections.of(Frame.dataOf(Frame.of(datagram({ clientPort }))), 0).label.slice(-2);
  t.same([1, 2, 3, 1, 4, 1, 3, 2].map(see), ['#1', '#2', '#3', '#1', '#4', '#1', '#3', '#5']);
  t.equal(connections.length, 3);
  for (let i = 0; i < 1000; i++) see(i % 100);
  t.equal(connections.length, 3);
});

t.test('labels', async (t) => {
  const engine = drops({});
  const frames = [
    datagram(),
    datagram({ client: 'fd77::1', server: 'fd77::2' }),
    datagram({ serverPort: 45678 }),
    Uint8Array.from(datagram().map((byte, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : byte))),
  ];
  engine.dropped(frames);
  t.same(
    engine.log.map(({ connection }) => connection),
    [
      'udp 10.77.0.1 > 10.77.0.2:53 #1',
      'udp [fd77::1] > [fd77::2]:53 #1',
      'udp 10.77.0.1 > 10.77.0.2:* #1',
      'ethertype 0x88b5 #1',
    ],
  );
});

t.test('dice: every value as likely as others, and no number tells of another', async (t) => {
  const dice = new Dice(12345);
  const buckets = 64;
  const chi = (value: (i: number) => number): number => {
    const counts = Array<number>(buckets).fill(0);
    const throws = 64_000;
    for (let i = 0; i < throws; i++) counts[Math.floor(value(i) * buckets)]!++;
    return counts.reduce((sum, count) => sum + (count - throws / buckets) ** 2 / (throws / buckets), 0);
  };
  // 63 degrees of freedom: above 118 in one of 30,000 tries.
  const what = { rule: 1, connection: 99, n: 1 };
  t.ok(chi((n) => dice.fraction({ ...what, n }, 0)) < 118, 'n');
  t.ok(chi((rule) => dice.fraction({ ...what, rule }, 0)) < 118, 'rule');
  t.ok(chi((i) => dice.fraction({ ...what, connection: hashOf(17, 53, i) }, 0)) < 118, 'connection');
  t.ok(chi((index) => dice.fraction(what, index)) < 118, 'index');
  t.ok(chi((seed) => new Dice(seed).fraction(what, 0)) < 118, 'seed');
  t.ok(chi((seed) => new Dice(seed * 2 ** 32 + 1).fraction(what, 0)) < 118, 'the upper half of a seed');
  t.ok(
    chi((n) => (dice.fraction({ ...what, n }, 0) + dice.fraction({ ...what, n: n + 1 }, 0)) % 1) < 118,
    'neighbours',
  );
  for (const distribution of ['uniform', 'normal', 'pareto'] as const) {
    const values = Array.from({ length: 50_000 }, (_, n) => dice.deviation(distribution, { ...what, n }, 0));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    t.ok(Math.abs(mean) < 0.02, `${distribution}: mean ${mean}`);
    t.ok(
      Math.abs(deviation - (distribution === 'uniform' ? Math.sqrt(1 / 3) : 1)) <
        (distribution === 'pareto' ? 0.3 : 0.02),
      `${distribution}: deviation ${deviation}`,
    );
  }
});
