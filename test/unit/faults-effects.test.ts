// SPDX-License-Identifier: MIT
/** What each effect does to a frame. */
import t, { type Test } from 'tap';

import type { Decision } from '../../src/faults/effects';
import type { Effect, Match } from '../../src/faults/rules';
import { Frame, fixChecksums } from '../../src/packet';
import { ACK, datagram, FIN, RST, rule, segment, SYN, TestEngine } from '../helpers/fault-frames';
import { onesComplement } from '../helpers/ones-complement';

const one = (effect: Effect, match: Match = {}): TestEngine => new TestEngine([rule(match, effect)]);
const decide = (engine: TestEngine, frame: Uint8Array, now = 0): Decision => {
  const decision = engine.engine.judge(Frame.of(Uint8Array.from(frame)), now);
  if (decision === null) throw new Error('it passes');
  return decision;
};
/** The values of CoDel that nobody has given. */
const RFC = { targetMs: null, intervalMs: null } as const;
const FRAMES = 20_000;
/** Shares of dropped frames: that of all, and that of frames behind a dropped one. */
function losses(engine: TestEngine): { share: number; behind: number } {
  const dropped = Array.from({ length: FRAMES }, () => engine.judge(datagram()) === 'drop');
  const count = dropped.filter(Boolean).length;
  return { share: count / FRAMES, behind: dropped.filter((each, i) => each && dropped[i - 1]).length / count };
}
const isNear = (t: Test, value: number, expected: number, samples: number, what: string): void =>
  void t.ok(
    Math.abs(value - expected) < 4 * Math.sqrt((expected * (1 - expected)) / samples),
    `${what}: ${value}, not ${expected}`,
  );

t.test('loss: as often as is said, each for itself', async (t) => {
  const { share, behind } = losses(one({ kind: 'loss', probability: 0.05 }));
  isNear(t, share, 0.05, FRAMES, 'share');
  isNear(t, behind, 0.05, FRAMES * 0.05, 'behind a lost one');
});

t.test('gemodel: in bursts', async (t) => {
  const { share, behind } = losses(one({ kind: 'gemodel', p: 0.02, r: 0.25, bad: 1, good: 0 }));
  // The share of time in which it is bad: p / (p + r). Bursts make its deviation larger than that of a coin.
  t.ok(Math.abs(share - 0.02 / 0.27) < 0.012, `share: ${share}`);
  isNear(t, behind, 0.75, FRAMES * 0.07, 'behind a lost one: it is still bad');
  const good = losses(one({ kind: 'gemodel', p: 0.5, r: 0.5, bad: 0.2, good: 0.1 }));
  isNear(t, good.share, 0.15, FRAMES, 'with losses in both states');
});

t.test('delay: constant, and with jitter in the order of the frames', async (t) => {
  t.equal(
    one({ kind: 'delay', ms: 40, jitterMs: 0, distribution: 'uniform', unordered: false }).judge(datagram()),
    'delay 40',
  );
  const due = (unordered: boolean): number[] => {
    const engine = one({ kind: 'delay', ms: 40, jitterMs: 20, distribution: 'normal', unordered });
    return Array.from({ length: 500 }, (_, now) => now + decide(engine, datagram(), now).delayMs);
  };
  const ordered = due(false);
  t.same(
    [...ordered].sort((a, b) => a - b),
    ordered,
  );
  const free = due(true);
  t.notSame(
    [...free].sort((a, b) => a - b),
    free,
  );
  const mean = free.reduce((sum, time, now) => sum + time - now, 0) / free.length;
  t.ok(Math.abs(mean - 40) < 4, `mean ${mean}`);
  t.ok(
    free.every((time, now) => time >= now),
    'never before it came',
  );
  const engine = one({ kind: 'delay', ms: 10, jitterMs: 10, distribution: 'uniform', unordered: false });
  decide(engine, datagram(), 0);
  const other = decide(engine, datagram({ clientPort: 1 }), 0).delayMs;
  const alone = decide(
    one({ kind: 'delay', ms: 10, jitterMs: 10, distribution: 'uniform', unordered: false }),
    datagram({ clientPort: 1 }),
    0,
  ).delayMs;
  t.not(other, alone, 'the second connection has another number');
});

t.test('delays of several rules add up, and a drop ends it', async (t) => {
  const delay: Effect = { kind: 'delay', ms: 5, jitterMs: 0, distribution: 'uniform', unordered: false };
  t.equal(new TestEngine([rule({}, delay), rule({}, delay, delay)]).judge(datagram()), 'delay 15');
  const engine = new TestEngine([rule({}, delay), rule({}, { kind: 'drop' }, delay), rule({}, delay)]);
  t.equal(engine.judge(datagram()), 'drop delay 5');
  t.same(
    engine.log.map(({ rule: by, effect }) => `${by} ${effect}`),
    ['1 delay 5.000 ms', '2 drop'],
  );
  t.same(engine.engine.counts, [
    { id: 1, matched: 1, applied: 1 },
    { id: 2, matched: 1, applied: 1 },
    { id: 3, matched: 1, applied: 0 },
  ]);
});

t.test('duplicate', async (t) => {
  const { drop, made } = decide(one({ kind: 'duplicate', copies: 2 }), datagram());
  t.equal(drop, false);
  t.same(
    made.map((each) => Buffer.from(each).equals(datagram())),
    [true, true],
  );
});

t.test('reorder: until others of the same direction have passed', async (t) => {
  const engine = one({ kind: 'reorder', by: 2, withinMs: 500 }, { filter: 'udp', nth: [1] });
  t.equal(engine.judge(datagram()), 'delay 500');
  const { ticket } = engine.engine;
  t.ok(ticket > 0);
  engine.judge(datagram());
  engine.judge(datagram({}, 'server'));
  engine.judge(datagram({ clientPort: 7 }));
  t.equal(engine.engine.ticket !== ticket, true);
  t.same(engine.engine.released, []);
  engine.judge(datagram());
  t.same(engine.engine.released, [ticket]);
});

t.test('corrupt: one bit, and a checksum that is right or not', async (t) => {
  const bits = (a: Uint8Array, b: Uint8Array): number[] =>
    [...a]
      .flatMap((byte, i) =>
        Array.from({ length: 8 }, (_, bit) => (((byte ^ (b[i] as number)) >>> (7 - bit)) & 1 ? i * 8 + bit : -1)),
      )
      .filter((at) => at >= 0);
  const changed = (
    part: 'ip' | 'transport' | 'payload',
    bit: number | null,
    frame = datagram(),
    valid = false,
  ): number[] => bits(decide(one({ kind: 'corrupt', part, bit, valid }), frame).bytes as Uint8Array, frame);
  t.same(changed('payload', 0), [42 * 8]);
  t.same(changed('payload', 20 * 8 + 3), [42 * 8 + 3], 'from the end on anew');
  t.same(changed('transport', 9), [34 * 8 + 9]);
  t.same(changed('ip', 64), [14 * 8 + 64], 'the TTL');
  t.same(
    changed('payload', 0, segment({ sequence: 1, flags: SYN })),
    [34 * 8],
    'of a frame without payload, the header',
  );
  const valid = decide(one({ kind: 'corrupt', part: 'payload', bit: 0, valid: true }), datagram()).bytes as Uint8Array;
  t.equal(onesComplement(valid), 0xffff);
  const seen = new Set<number>();
  const engine = one({ kind: 'corrupt', part: 'payload', bit: null, valid: false });
  for (let i = 0; i < 1000; i++) {
    const [at = -1, ...more] = bits(decide(engine, datagram()).bytes as Uint8Array, datagram());
    if (more.length > 0 || at < 42 * 8 || at >= 62 * 8) t.fail(`bits ${at}, ${more.join()}`);
    seen.add(at);
  }
  t.ok(seen.size > 150, `${seen.size} of 160 bits`);
});

t.test('truncate', async (t) => {
  t.same(decide(one({ kind: 'truncate', bytes: 40 }), datagram()).bytes, datagram().subarray(0, 40));
  t.equal(one({ kind: 'truncate', bytes: 4000 }).judge(datagram()), 'pass');
});

t.test('reset: with the numbers that each side takes', async (t) => {
  const frame = segment({ sequence: 1000, acknowledgment: 500, flags: ACK, bytes: 10 });
  const made = decide(one({ kind: 'reset', to: 'both' }), frame).made.map((bytes) => ({
    frame: Frame.of(bytes),
    sum: onesComplement(bytes),
  }));
  t.same(
    made.map(({ frame: { tcp, ipv4 } }) => [
      ipv4?.source,
      tcp?.sourcePort,
      tcp?.destinationPort,
      tcp?.sequence,
      (tcp?.flags ?? 0) & RST,
    ]),
    [
      ['10.77.0.1', 40000, 80, 1000, RST],
      ['10.77.0.2', 80, 40000, 500, RST],
    ],
  );
  t.ok(made.every(({ sum }) => sum === 0xffff));
  const toServer = decide(one({ kind: 'reset', to: 'server' }), frame).made;
  t.same(
    toServer.map((bytes) => Frame.of(bytes).tcp?.destinationPort),
    [80],
  );
  const toClient = decide(one({ kind: 'reset', to: 'client' }), segment({ sequence: 9, flags: SYN }));
  t.same(
    toClient.made.map((bytes) => [Frame.of(bytes).tcp?.flags, Frame.of(bytes).tcp?.acknowledgment]),
    [[RST | ACK, 10]],
    'a SYN is refused',
  );
  t.equal(toClient.drop, true);
  t.equal(
    decide(one({ kind: 'reset', to: 'client' }), segment({ sequence: 9, flags: FIN, bytes: 2 })).made.map(
      (bytes) => Frame.of(bytes).tcp?.acknowledgment,
    )[0],
    12,
  );
  t.equal(one({ kind: 'reset', to: 'both' }).judge(datagram()), 'pass', 'there is nothing to reset');
});

t.test('ICMP errors name the packet that they are about', async (t) => {
  const error = decide(one({ kind: 'unreachable', what: 'port' }), datagram());
  t.equal(error.drop, true);
  const [bytes = new Uint8Array(0)] = error.made;
  const { icmp, ipv4, ethernet } = Frame.of(bytes);
  t.same(
    [ipv4?.source, ipv4?.destination, ethernet.destination, icmp?.type, icmp?.code],
    ['10.77.0.2', '10.77.0.1', '02:00:00:00:00:01', 3, 3],
  );
  t.same(icmp?.payload, datagram().subarray(14));
  t.equal(onesComplement(bytes), 0xffff);
  const [six = new Uint8Array(0)] = decide(
    one({ kind: 'unreachable', what: 'port' }),
    datagram({ client: 'fd77::1', server: 'fd77::2' }),
  ).made;
  t.same([Frame.of(six).icmpv6?.type, Frame.of(six).icmpv6?.code], [1, 4]);
  t.equal(onesComplement(six), 0xffff);
  t.equal(one({ kind: 'unreachable', what: 'host' }).judge(bytes), 'pass', 'no error about an error');

  const [big = new Uint8Array(0)] = decide(one({ kind: 'too-big', mtu: 1280 }), datagram({}, 'client', 1400)).made;
  t.same(
    [Frame.of(big).icmp?.type, Frame.of(big).icmp?.code, Frame.of(big).icmp?.sequence, Frame.of(big).length],
    [3, 4, 1280, 14 + 20 + 8 + 548],
  );
  t.equal(one({ kind: 'too-big', mtu: 1280 }).judge(datagram({}, 'client', 1252)), 'pass', 'it fits');
  const [big6 = new Uint8Array(0)] = decide(
    one({ kind: 'too-big', mtu: 1280 }),
    datagram({ client: 'fd77::1', server: 'fd77::2' }, 'client', 1400),
  ).made;
  t.same(
    [Frame.of(big6).icmpv6?.type, Frame.of(big6).icmpv6?.sequence, Frame.of(big6).length],
    [2, 1280, 14 + 40 + 8 + 1232],
  );
});

t.test('ecn: only what knows about marks is marked', async (t) => {
  t.equal(one({ kind: 'ecn' }).judge(datagram()), 'pass');
  const capable = (frame: Uint8Array, at: number, bits: number): Uint8Array => {
    const copy = Uint8Array.from(frame);
    copy[at] = (copy[at] as number) | bits;
    return fixChecksums(copy);
  };
  const marked = decide(one({ kind: 'ecn' }), capable(datagram(), 15, 2)).bytes as Uint8Array;
  t.equal(Frame.of(marked).ipv4?.tos, 3);
  t.equal(onesComplement(marked), 0xffff);
  const six = decide(one({ kind: 'ecn' }), capable(datagram({ client: 'fd77::1', server: 'fd77::2' }), 15, 0x20))
    .bytes as Uint8Array;
  t.equal(Frame.of(six).ipv6?.trafficClass, 3);
  t.equal(one({ kind: 'ecn' }).judge(marked), 'pass', 'it has one already');
});

t.test('rate: one frame after the other, and a queue that ends', async (t) => {
  const frame = datagram({}, 'client', 1000 - 42);
  const byTime = one({ kind: 'rate', bitsPerSecond: 8_000_000, queue: { ms: 2 }, ...RFC });
  t.same(
    Array.from({ length: 5 }, () => byTime.judge(frame, 100)),
    ['delay 1', 'delay 2', 'delay 3', 'drop', 'drop'],
  );
  t.same([byTime.judge(frame, 102), byTime.judge(frame, 110)], ['delay 2', 'delay 1'], 'the line has sent meanwhile');
  const byBytes = one({ kind: 'rate', bitsPerSecond: 8_000_000, queue: { bytes: 1500 }, ...RFC });
  t.same(
    Array.from({ length: 4 }, () => byBytes.judge(frame)),
    ['delay 1', 'delay 2', 'drop', 'drop'],
  );
  const share = one({ kind: 'rate', bitsPerSecond: 8_000_000, queue: { ms: 1000 }, ...RFC });
  t.same(
    [share.judge(frame), share.judge(datagram({ clientPort: 9 }, 'client', 1000 - 42))],
    ['delay 1', 'delay 2'],
    'all connections share it',
  );
});

t.test(
  'cut: nothing of the interface arrives for a time; blackhole: nothing of the connection, for ever',
  async (t) => {
    const cut = one({ kind: 'cut', ms: 100 }, { filter: 'udp port 53', nth: [2] });
    const other = datagram({ serverPort: 54 });
    t.same(
      [
        cut.judge(datagram(), 10),
        cut.judge(other, 11),
        cut.judge(datagram(), 12),
        cut.judge(other, 13),
        cut.judge(datagram(), 111.9),
        cut.judge(other, 112),
      ],
      ['pass', 'pass', 'drop', 'drop', 'drop', 'pass'],
    );
    t.same(
      cut.log.map(({ n, effect }) => `${n} ${effect}`),
      ['2 cut 100.000 ms', '0 cut', '0 cut'],
    );
    const link = one({ kind: 'carrier', ms: 100 }, { filter: 'udp port 53', nth: [2] });
    t.same(
      [10, 12, 111, 113].map((now) => link.judge(datagram(), now)),
      ['pass', 'drop', 'drop', 'pass'],
    );
    t.same(
      link.log.map(({ n, effect }) => `${n} ${effect}`),
      ['2 carrier 100.000 ms', '0 carrier'],
    );
    t.same([link.engine.takeCarrierLoss(), link.engine.takeCarrierLoss()], [100, 0], 'the link is to go down once');
    const hole = one({ kind: 'blackhole' }, { from: 'client', nth: [2] });
    t.same(
      [
        hole.judge(datagram()),
        hole.judge(datagram({}, 'server')),
        hole.judge(datagram()),
        hole.judge(datagram({}, 'server')),
        hole.judge(datagram(), 1e9),
        hole.judge(other),
      ],
      ['pass', 'pass', 'drop', 'drop', 'drop', 'pass'],
    );
  },
);
