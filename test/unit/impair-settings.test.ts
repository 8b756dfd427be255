// SPDX-License-Identifier: MIT
/** What netem is told: as many losses, copies and frames in flight as the words ask for. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { chanceOfCorrelated, lineOf, netemOptionsOf, tcWords } from '../../src/impair/settings';
import { checkedWords, PROFILES } from '../../src/impair/words';
import { distributionTable, netemMessage } from '../../src/link/netem';

const options = (words: string): ReturnType<typeof netemOptionsOf> => netemOptionsOf(checkedWords(words), 1);
const DRAWS = 200_000;

/** Numbers from 0 to 1, the same each time. */
function random(): () => number {
  let state = 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

t.test('correlated chances are met by the numbers that netem draws', async (t) => {
  for (const [chance, correlation] of [
    [0.03, 0.25],
    [0.03, 0.9],
    [0.005, 0.5],
    [0.3, 0.5],
    [0.9, 0.25],
  ] as const) {
    const next = random();
    const told = chanceOfCorrelated(chance, correlation);
    let last = next();
    let hits = 0;
    for (let i = 0; i < DRAWS; i++) {
      last = next() * (1 - correlation) + last * correlation; // get_crandom
      if (last <= told) hits++;
    }
    t.ok(Math.abs(hits / DRAWS / chance - 1) < 0.15, `${chance} with ${correlation}: ${hits / DRAWS}`);
  }
  t.equal(chanceOfCorrelated(0.03, 0), 0.03);
});

t.test('loss with a correlation comes in bursts, and as often as asked for', async (t) => {
  const { loss } = options('lossy-wifi');
  if (loss.model !== 'gemodel') return void t.fail(loss.model);
  const next = random();
  let bad = false;
  let lost = 0;
  let afterLost = 0;
  for (let i = 0, last = false; i < DRAWS; i++) {
    const isLost = bad && next() <= loss.lostWhenBad; // loss_gilb_ell
    if (next() < (bad ? loss.r : loss.p)) bad = !bad;
    if (isLost) lost++;
    if (isLost && last) afterLost++;
    last = isLost;
  }
  t.ok(Math.abs(lost / DRAWS - 0.03) < 0.002, `${lost} of ${DRAWS}`);
  t.ok(Math.abs(afterLost / lost - (0.03 + 0.25 * 0.97)) < 0.02, `after a lost one ${afterLost / lost}`);
  t.same(options('loss 3%').loss, { model: 'random', chance: 0.03 }, 'without one by chance alone');
  t.same(options('loss 100% 50%').loss, { model: 'random', chance: 1 });
});

t.test('what is left out is as tc has it', async (t) => {
  t.same(options('loss gemodel 1%').loss, { model: 'gemodel', p: 0.01, r: 0.99, lostWhenBad: 1, lostWhenGood: 0 });
  t.same(options('loss state 1% 90%').loss, { model: 'state', p13: 0.01, p31: 0.9, p32: 0, p23: 1, p14: 0 });
  t.match(options('delay 1ms'), {
    delay: { jitter: 0, distribution: 'uniform' },
    gap: 0,
    rate: { bytes: 0 },
    slot: { least: 0, most: 0 },
    seed: null,
    ecn: false,
  });
  t.match(options('slot 10ms packets 5'), { slot: { least: 10e6, most: 10e6, packets: 5, bytes: 0 } });
  t.equal(options('delay 1ms reorder 25%').gap, 1);
});

t.test('the limit grows with delay and rate', async (t) => {
  const limit = (words: string): number => options(words).limit;
  t.equal(limit('loss 1%'), 1000);
  t.ok(limit('delay 5s') >= 100_000, 'what comes in five seconds');
  t.ok(limit('delay 300ms') > 30_000);
  t.ok(limit('delay 1s 1s') > limit('delay 500ms'));
  t.ok(limit('delay 300ms rate 10mbit') < limit('delay 300ms rate 100mbit'));
  t.ok(limit('delay 300ms rate 10mbit') >= (0.3 * 10e6) / 512, 'frames of 64 bytes at the whole rate');
  t.ok(limit('delay 60s rate 100gbit') <= 200_000, 'but not without end');
  t.equal(limit('delay 5s limit 50'), 50);
  t.equal(
    netemOptionsOf(checkedWords('delay 100ms rate 12.112mbit queue 20ms'), 2).limit,
    120,
    'with several queues, who do not know of each other, full frames under way and waiting',
  );
});

t.test('each named wire has a queue that loses what it has no space for', async (t) => {
  for (const name of Object.keys(PROFILES)) {
    const words = checkedWords(name);
    const { limit, rate, delay } = netemOptionsOf(words, 1);
    const line = lineOf(words, 1);
    t.equal(line?.bytesPerSecond, rate.bytes, name);
    const waitMs = line?.queueMs ?? Infinity;
    t.ok(
      waitMs <= 600 && limit * 64 * 1000 > rate.bytes * (waitMs + delay.time / 1e6),
      `netem has place for the smallest frames`,
    );
  }
  t.equal(lineOf(checkedWords('3g limit 1000'), 1), null, 'with a limit of its own it waits');
  t.same(
    lineOf(checkedWords('rate 8mbit queue 1s duplicate 25%'), 2),
    { bytesPerSecond: 800_000, queueMs: Infinity },
    'copies take their part',
  );
});

t.test('the docs say of each named wire what its words make of it', async (t) => {
  const docs = fs.readFileSync(
    path.join(__dirname, __dirname.includes('dist-test') ? '../../..' : '../..', 'docs/cli.md'),
    'utf8',
  );
  for (const [name, { words, what, ping }] of Object.entries(PROFILES)) {
    t.match(docs, `| \`${name}\` | \`${words}\` | ${what} | ${ping.idle} ms | ${ping.loaded} ms |\n`);
    const { delay } = netemOptionsOf(checkedWords(name), 1);
    const line = lineOf(checkedWords(name), 1);
    t.equal(ping.idle, (2 * delay.time) / 1e6, `${name}: there and back`);
    // TCP sends at least two segments at a time, and the one that finds a place has no end.
    const loaded = ping.idle + 2 * ((line?.queueMs ?? NaN) + (2 * 1514 * 1000) / (line?.bytesPerSecond ?? NaN));
    t.ok(ping.loaded >= loaded && ping.loaded < 1.5 * loaded, `${name} under load: ${Math.round(loaded)} ms`);
  }
});

t.test('what would be typed', async (t) => {
  const typed = (words: string): string => tcWords(checkedWords(words), 1).join(' ');
  t.equal(typed('lossy-wifi'), 'limit 5454 delay 3ms 4ms loss gemodel 2.25% 72.75% 100% 0% rate 40000000bit');
  t.equal(
    typed('delay 1.5ms 20us 25% distribution normal loss 1% ecn corrupt 1% reorder 10% gap 5 duplicate 2%'),
    'limit 1304 delay 1500us 20us 25% distribution normal loss 1% ecn duplicate 2% corrupt 1% reorder 10% gap 5',
  );
  t.equal(
    typed('loss state 1% 90% 5% 50% 1% rate 1mbit 20 53 -5 slot 1ms 2ms packets 3 bytes 4 seed 7'),
    'limit 1000 loss state 1% 90% 5% 50% 1% rate 1000000bit 20 53 -5 slot 1ms 2ms packets 3 bytes 4 seed 7',
  );
});

t.test('as the kernel reads it: all options, each in its place', async (t) => {
  const attributes = (words: string): Map<number, Buffer> => {
    const bytes = Buffer.from(netemMessage(options(words)));
    const found = new Map<number, Buffer>([[0, bytes.subarray(0, 24)]]);
    for (let at = 24; at < bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3)
      found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + 4, at + bytes.readUInt16LE(at)));
    return found;
  };
  const plain = attributes('delay 20ms');
  t.same(
    [...plain.keys()].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 6, 7, 10, 11, 12],
    'a change takes back what is not said',
  );
  t.equal(plain.get(10)?.readBigInt64LE(), 20_000_000n);
  t.equal(plain.get(7)?.readUInt32LE(), 0);
  const all = attributes('loss state 1% rate 40gbit 20 seed 42 duplicate 100% slot 1ms packets 7');
  t.equal(all.get(0)?.readUInt32LE(16), 0xffffffff, 'duplicate');
  t.equal(all.get(8)?.readBigUInt64LE(), 5_000_000_000n, 'a rate of more than 32 bits');
  t.equal(all.get(6)?.readInt32LE(4), 20);
  t.equal(all.get(14)?.readBigUInt64LE(), 42n);
  t.equal(all.get(12)?.readInt32LE(16), 7);
  t.equal(all.get(5)?.readUInt16LE(2), 1, 'four states');
  t.equal(attributes('loss gemodel 1% 10%').get(5)?.readUInt32LE(12), 0, 'h: all that comes when it is bad is lost');
});

t.test('jitters are distributed as they are called', async (t) => {
  const momentsOf = (name: Parameters<typeof distributionTable>[0]): { mean: number; deviation: number } => {
    const values = [...distributionTable(name)].map((value) => value / 8192);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
  };
  for (const [name, deviation] of [
    ['uniform', 0.577],
    ['normal', 1],
    ['pareto', 0.87],
    ['paretonormal', 0.88],
  ] as const) {
    const moments = momentsOf(name);
    t.ok(
      Math.abs(moments.mean) < 0.05 && Math.abs(moments.deviation - deviation) < 0.15,
      `${name}: ${JSON.stringify(moments)}`,
    );
  }
});
