// SPDX-License-Identifier: MIT
/** The memory of frames that wait: they leave when they are due, in their order, and as they came. */
import t from 'tap';

import { WaitingFrames } from '../../src/hooks/waiting';
import { Random } from '../helpers/random';

const BLOCK = 2048;
const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

function takeFrom(waiting: WaitingFrames, now: number): Uint8Array | null {
  const length = waiting.ready(now);
  if (length === 0) return null;
  const into = new Uint8Array(length);
  waiting.take(into);
  return into;
}

t.test('by their time, and those of the same time in their order', async (t) => {
  const waiting = new WaitingFrames();
  t.same([waiting.length, waiting.due, waiting.ready(1e9)], [0, Infinity, 0]);
  const dues = [5, 1, 3, 1, 5, 2];
  dues.forEach((due, i) => waiting.add(Uint8Array.of(99, i, 99), 1, 1, due));
  t.equal(waiting.due, 1);
  t.equal(takeFrom(waiting, 0.999), null);
  t.same(
    Array.from({ length: 6 }, () => takeFrom(waiting, 10)?.[0]),
    [1, 3, 5, 2, 0, 4],
  );
  t.equal(waiting.length, 0);
});

t.test('frames of any size are kept as they are, as long as there is memory', async (t) => {
  const random = Random.announced(t);
  const waiting = new WaitingFrames(64 * BLOCK);
  const kept: { due: number; order: number; bytes: Uint8Array; ticket: number }[] = [];
  let order = 0;
  const wrong: string[] = [];
  for (let round = 0; round < 5000; round++) {
    const length = random.pick([1, 60, 1500, 2047, 2048, 2049, 9000, random.between(1, 20_000)]);
    if (random.chance(55) && waiting.fits(1, length)) {
      const bytes = bytesOf(length, round);
      const due = random.between(0, 1000);
      const ticket = random.chance(20) ? round + 1 : 0;
      waiting.add(bytes, 0, length, due, ticket);
      kept.push({ due, order: order++, bytes, ticket });
    } else if (random.chance(5)) {
      const any = kept.length > 0 ? random.pick(kept) : null;
      if (any !== null && any.ticket > 0) {
        waiting.hasten(any.ticket);
        any.due = -Infinity;
      }
    } else {
      const now = random.between(0, 1000);
      kept.sort((a, b) => (a.due === b.due ? a.order - b.order : a.due - b.due));
      const expected = kept[0] && kept[0].due <= now ? (kept.shift() as (typeof kept)[0]).bytes : null;
      const found = takeFrom(waiting, now);
      if (Buffer.compare(found ?? Buffer.alloc(0), expected ?? Buffer.alloc(0)) !== 0) wrong.push(`round ${round}`);
    }
    if (waiting.length !== kept.length) wrong.push(`round ${round}: ${waiting.length} of ${kept.length}`);
  }
  t.same(wrong.slice(0, 5), []);
  while (takeFrom(waiting, Infinity) !== null);
  t.ok(waiting.fits(0, 64 * BLOCK), 'all memory is free again');
  t.notOk(waiting.fits(1, 64 * BLOCK));
});

t.test('hastened ones are due at once', async (t) => {
  const waiting = new WaitingFrames();
  [40, 20, 30].forEach((due, i) => waiting.add(Uint8Array.of(i), 0, 1, due, i + 1));
  waiting.hasten(3);
  waiting.hasten(77);
  t.same([waiting.due, takeFrom(waiting, -Infinity)?.[0], takeFrom(waiting, 0)], [-Infinity, 2, null]);
  waiting.hasten(3);
  waiting.add(Uint8Array.of(9), 0, 1, 1);
  waiting.hastenAll();
  waiting.add(Uint8Array.of(8), 0, 1, 0);
  t.same(
    Array.from({ length: 4 }, () => takeFrom(waiting, 0)?.[0]),
    [9, 1, 0, 8],
    'in the order of their times',
  );
});

t.test(
  'frames that are moved or discarded leave the others in their order, and their memory is free again',
  async (t) => {
    const random = Random.announced(t);
    for (let run = 0; run < 50; run++) {
      const waiting = new WaitingFrames(64 * 2048);
      let expected: { ticket: number; due: number; order: number }[] = [];
      let discarded = 0;
      for (let ticket = 1; ticket < 200; ticket++) {
        const bytes = random.between(1, 5000);
        if (waiting.fits(1, bytes)) {
          const due = random.between(0, 50);
          waiting.add(new Uint8Array(bytes).fill(ticket), 0, bytes, due, ticket);
          expected.push({ ticket, due, order: ticket });
        }
        const chosen = random.pick(expected);
        if (random.chance(30)) {
          chosen.due = random.between(0, 50);
          waiting.move(chosen.ticket, chosen.due);
        } else if (random.chance(40)) {
          waiting.discard(chosen.ticket);
          waiting.discard(chosen.ticket);
          discarded++;
          expected = expected.filter((each) => each !== chosen);
          if (expected.length === 0) break;
        }
      }
      t.equal(waiting.discarded, discarded);
      const left: number[] = [];
      for (let bytes = waiting.ready(Infinity); bytes > 0; bytes = waiting.ready(Infinity)) {
        const into = new Uint8Array(bytes);
        waiting.take(into);
        left.push(into[0] as number);
      }
      expected.sort((a, b) => a.due - b.due || a.order - b.order);
      if (left.join() !== expected.map(({ ticket }) => ticket).join())
        t.same(
          left,
          expected.map(({ ticket }) => ticket),
          `run ${run}`,
        );
      t.ok(waiting.fits(1, 60 * 2048), 'all memory is free');
    }
  },
);
