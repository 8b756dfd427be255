// SPDX-License-Identifier: MIT
import t from 'tap';
import { RingReader } from '../src/ring-reader';
import { FakeRing } from './helpers/fake-ring';

function bytes(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

/** Payloads of the current lease. */
function payloads(ring: FakeRing, reader: RingReader, count: number): number[][] {
  const data = new Uint8Array(ring.data);
  return Array.from({ length: count }, (_, i) => {
    const start = reader.offsets[i]!;
    return [...data.subarray(start, start + reader.lengths[i]!)];
  });
}

t.test('an empty ring has nothing to lease', async (t) => {
  const ring = new FakeRing(64);
  const reader = new RingReader(ring);
  t.equal(reader.lease(8), 0);
  t.equal(reader.isEmpty(), true);
  t.equal(reader.available(), 0);
  reader.commit(0);
  t.equal(ring.consumerPosition, 0n);
});

t.test('records come in order, and lease again until they are committed', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(3, 1));
  ring.produce(bytes(8, 2));
  ring.produce(bytes(0, 0));
  t.equal(reader.available(), 16 + 16 + 8);
  t.equal(reader.lease(8), 3);
  t.same(payloads(ring, reader, 3), [[1, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2], []]);
  t.same([...reader.ends.subarray(0, 3)], [16, 32, 40]);
  t.equal(reader.lease(8), 3, 'leased again');
  t.equal(ring.consumerPosition, 0n, 'nothing was released');
  reader.commit(1);
  t.equal(ring.consumerPosition, 16n);
  t.equal(reader.lease(8), 2);
  t.same(payloads(ring, reader, 1), [[2, 2, 2, 2, 2, 2, 2, 2]]);
  reader.commit(2);
  t.equal(ring.consumerPosition, 40n);
  t.equal(reader.isEmpty(), true);
  t.equal(reader.consumerPosition(), 40);
  t.equal(reader.producerPosition(), 40);
});

t.test('a commit ends the lease', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 1));
  ring.produce(bytes(8, 2));
  reader.lease(8);
  reader.commit(1);
  reader.commit(1);
  reader.commit(0);
  t.equal(ring.consumerPosition, 16n);
});

t.test('committing more than was leased releases what was leased', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 1));
  ring.produce(bytes(8, 2));
  t.equal(reader.lease(1), 1);
  reader.commit(99);
  t.equal(ring.consumerPosition, 16n);
  reader.commit(-1);
  t.equal(ring.consumerPosition, 16n);
});

t.test('the budget and the capacity limit a lease', async (t) => {
  const ring = new FakeRing(1024);
  const reader = new RingReader(ring, 4);
  for (let i = 0; i < 10; i++) ring.produce(bytes(8, i));
  t.equal(reader.lease(0), 0);
  reader.commit(0);
  t.equal(ring.consumerPosition, 0n);
  t.equal(reader.lease(3), 3);
  t.equal(reader.lease(1e9), 4, 'capacity');
  reader.commit(4);
  t.equal(reader.lease(4), 4);
  t.equal(payloads(ring, reader, 1)[0]![0], 4);
  t.equal(reader.lease(-5), 0);
});

t.test('a busy record stops the lease, and the ring is not empty', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 1));
  const busy = ring.produce(bytes(8, 2), 'busy')!;
  ring.produce(bytes(8, 3));
  t.equal(reader.lease(8), 1);
  reader.commit(1);
  t.equal(reader.lease(8), 0);
  reader.commit(0);
  t.equal(ring.consumerPosition, 16n, 'not past the busy record');
  t.equal(reader.isEmpty(), false);
  ring.setState(busy, 8, 'ready');
  t.equal(reader.lease(8), 2);
  t.same(
    payloads(ring, reader, 2).map((payload) => payload[0]),
    [2, 3],
  );
});

t.test('discarded records are skipped and released', async (t) => {
  const ring = new FakeRing(1024);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 0), 'discarded');
  ring.produce(bytes(8, 1));
  ring.produce(bytes(8, 0), 'discarded');
  ring.produce(bytes(8, 2));
  ring.produce(bytes(8, 0), 'discarded');
  t.equal(reader.lease(8), 2);
  t.same(
    payloads(ring, reader, 2).map((payload) => payload[0]),
    [1, 2],
  );
  reader.commit(1);
  t.equal(ring.consumerPosition, 32n, 'the leading one with the first record');
  t.equal(reader.lease(8), 1);
  reader.commit(1);
  t.equal(ring.consumerPosition, 80n, 'the one between and the trailing one');
  t.equal(reader.isEmpty(), true);
});

t.test('only discarded records are released by commit(0)', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 0), 'discarded');
  ring.produce(bytes(100, 0), 'discarded');
  t.equal(reader.lease(8), 0);
  t.equal(ring.consumerPosition, 0n);
  reader.commit(0);
  t.equal(ring.consumerPosition, 16n + 112n);
});

t.test('commit(0) of a lease with records releases nothing', async (t) => {
  const ring = new FakeRing(256);
  const reader = new RingReader(ring);
  ring.produce(bytes(8, 1));
  t.equal(reader.lease(8), 1);
  reader.commit(0);
  t.equal(ring.consumerPosition, 0n);
});

t.test('a record across the wrap is contiguous in the second half', async (t) => {
  const ring = new FakeRing(64);
  const reader = new RingReader(ring);
  ring.produce(bytes(32, 1));
  reader.lease(1);
  reader.commit(1);
  ring.produce(bytes(32, 2)); // 40 .. 80
  t.equal(reader.lease(1), 1);
  t.equal(reader.offsets[0], 48);
  t.same(payloads(ring, reader, 1), [[...bytes(32, 2)]]);
  reader.commit(1);
  t.equal(ring.consumerPosition, 80n);
});

t.test('a record whose payload alone wraps starts at the size', async (t) => {
  const ring = new FakeRing(64);
  const reader = new RingReader(ring);
  ring.produce(bytes(48, 1));
  reader.lease(1);
  reader.commit(1);
  ring.produce(bytes(16, 9)); // header at 56, payload at 64
  t.equal(reader.lease(1), 1);
  t.equal(reader.offsets[0], 64);
  t.same(payloads(ring, reader, 1), [[...bytes(16, 9)]]);
});

t.test('a full ring is read whole', async (t) => {
  const ring = new FakeRing(64);
  const reader = new RingReader(ring);
  for (let i = 0; i < 4; i++) t.not(ring.produce(bytes(8, i)), undefined);
  t.equal(ring.produce(bytes(8, 5)), undefined, 'full');
  t.equal(reader.available(), 64);
  t.equal(reader.lease(64), 4);
  reader.commit(4);
  t.equal(ring.consumerPosition, 64n);
  t.equal(reader.isEmpty(), true);
});

for (const [name, start] of [
  ['the sign of the low half', 2n ** 31n - 24n],
  ['a carry into the high half', 2n ** 32n - 24n],
  ['a later carry', 5n * 2n ** 32n - 24n],
  ['the largest double integers', 2n ** 52n + 2n ** 32n - 24n],
] as const) {
  t.test(`positions pass ${name}`, async (t) => {
    const ring = new FakeRing(64, start);
    const reader = new RingReader(ring);
    t.equal(reader.isEmpty(), true);
    t.equal(reader.consumerPosition(), Number(start));
    for (let i = 0; i < 8; i++) {
      ring.produce(bytes(8, i));
      ring.produce(bytes(8, i + 100));
      t.equal(reader.available(), 32);
      t.equal(reader.producerPosition(), Number(ring.producerPosition));
      t.equal(reader.lease(8), 2);
      t.same(
        payloads(ring, reader, 2).map((payload) => payload[0]),
        [i, i + 100],
      );
      reader.commit(2);
      t.equal(ring.consumerPosition, ring.producerPosition);
      t.equal(reader.consumerPosition(), Number(ring.consumerPosition));
    }
  });
}

t.test('a new reader goes on where the last one committed', async (t) => {
  const ring = new FakeRing(256, 2n ** 33n);
  ring.produce(bytes(8, 1));
  ring.produce(bytes(8, 2));
  const first = new RingReader(ring);
  first.lease(1);
  first.commit(1);
  const second = new RingReader(ring);
  t.equal(second.lease(8), 1);
  t.equal(payloads(ring, second, 1)[0]![0], 2);
});

t.test('random traffic arrives whole and in order', async (t) => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const ring = new FakeRing(512, 2n ** 32n - 4096n);
  const reader = new RingReader(ring, 16);
  const sent: number[] = [];
  const received: number[] = [];
  let pending: { position: bigint; length: number }[] = [];
  let next = 0;
  for (let round = 0; round < 3000; round++) {
    const length = 1 + random(90);
    const kind = random(10);
    const value = next % 251;
    const position = ring.produce(bytes(length, value), kind === 0 ? 'discarded' : kind === 1 ? 'busy' : 'ready');
    if (position !== undefined && kind !== 0) {
      sent.push(value);
      next++;
      if (kind === 1) pending.push({ position, length });
    }
    if (position === undefined || random(4) === 0) {
      for (const record of pending) ring.setState(record.position, record.length, 'ready');
      pending = [];
    }
    if (random(3) === 0) {
      const count = reader.lease(1 + random(20));
      const take = count === 0 ? 0 : random(count + 1);
      for (const payload of payloads(ring, reader, take)) {
        received.push(payload.every((byte) => byte === payload[0]) ? payload[0]! : -1);
      }
      reader.commit(take);
    }
  }
  for (const record of pending) ring.setState(record.position, record.length, 'ready');
  for (let count; (count = reader.lease(16)) > 0 || reader.available() > 0; reader.commit(count)) {
    received.push(...payloads(ring, reader, count).map((payload) => payload[0]!));
  }
  t.ok(sent.length > 1500);
  t.same(received, sent);
  t.ok(ring.consumerPosition > 2n ** 32n);
});

t.test('a data mapping that is no ring is refused', async (t) => {
  const page = new ArrayBuffer(4096);
  for (const length of [0, 24, 200]) {
    t.throws(() => new RingReader({ consumer: page, producer: page, data: new ArrayBuffer(length) }), RangeError);
  }
});
