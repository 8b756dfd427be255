// SPDX-License-Identifier: MIT
/** The frame accounting, and the counters that go into it. */
import t from 'tap';

import { judgeBehind, refusedBy, sumCounters } from '../../src/datapath/kernel-counters';
import { REFUSALS } from '../../src/datapath/outcomes';
import { frameAccounting, lostBehind, type Refusal, type Stats } from '../../src/datapath/stats';
import { CONTROL, COUNTERS, REFUSALS as TX_REFUSALS } from '../../src/layout';

/** A reading in which every count that the accounting knows has another power of ten. */
function reading(): Stats {
  const refused = Object.fromEntries(Object.keys(REFUSALS).map((name) => [name, 1])) as Record<Refusal, number>;
  return {
    tx: { packets: 0, bytes: 0 },
    rx: { packets: 1000, bytes: 7 },
    queue: { packets: 200, stops: 9, wakes: 9 },
    held: { now: 30, total: 99, dropped: 4, again: 5, grants: 6 },
    refused,
    hooks: { dropped: 50_000, injected: 0, errors: 77, delayed: 111, waiting: 200_000_000, lost: 1_000_000_000 },
    impair: { waiting: 600_000, lost: 7_000_000, duplicated: 0 },
    reinject: { retries: 88, errors: 99 },
    behind: { missing: 66, copies: 55, lost: 80_000_000 },
    stray: 44,
  } as unknown as Stats;
}

t.test('both sides, and whether they are equal', async (t) => {
  const stats = reading();
  const out =
    1000 +
    200 +
    30 +
    4 +
    Object.keys(stats.refused).length +
    50_000 +
    600_000 +
    7_000_000 +
    80_000_000 +
    200_000_000 +
    1_000_000_000;
  t.same(frameAccounting(stats), { in: 0, out, balanced: false });
  stats.tx.packets = out;
  t.same(frameAccounting(stats), { in: out, out, balanced: true });
  stats.tx.packets = out - 5;
  stats.hooks.injected = 5;
  t.same(frameAccounting(stats), { in: out, out, balanced: true }, 'injected frames come in, too');
});

t.test('one frame more or less is seen', async (t) => {
  const stats = reading();
  stats.tx.packets = frameAccounting(stats).out;
  for (const reason of Object.keys(stats.refused) as Refusal[]) {
    stats.refused[reason]++;
    t.notOk(frameAccounting(stats).balanced, reason);
    stats.refused[reason]--;
  }
  t.ok(frameAccounting(stats).balanced);
});

t.test('counters of all CPUs are added up', async (t) => {
  const cpu = (factor: number): Uint8Array => {
    const words = new BigUint64Array(COUNTERS.size / 8);
    words.forEach((_, i) => (words[i] = BigInt(factor * (i + 1))));
    return new Uint8Array(words.buffer);
  };
  const sum = sumCounters([cpu(1), cpu(100), cpu(2 ** 40)]);
  const factor = 1 + 100 + 2 ** 40;
  t.equal(sum.txPackets, factor);
  t.equal(sum.txBytes, factor * 2);
  t.same(
    sum.refused,
    TX_REFUSALS.map((_, i) => factor * (COUNTERS.refused / 8 + i + 1)),
  );
  for (const name of ['stray', 'originalsSent', 'originalsArrived', 'cutSent', 'cutArrived'] as const)
    t.equal(sum[name], factor * (COUNTERS[name] / 8 + 1), name);
  t.same(sumCounters([]), {
    txPackets: 0,
    txBytes: 0,
    refused: TX_REFUSALS.map(() => 0),
    stray: 0,
    originalsSent: 0,
    originalsArrived: 0,
    cutSent: 0,
    cutArrived: 0,
  });
});

t.test('frames refused, by reason', async (t) => {
  const counts = refusedBy(
    TX_REFUSALS.map((_, i) => i + 1),
    50,
    (counter) => 10 * counter,
    { down: 7, toolong: 8 },
  );
  t.match(counts, { full: 1, oversize: 2, runt: 3, gso: 4, unreadable: 5, unholdable: 6 }, 'by the programs');
  t.match(counts, { invalid: 10 * CONTROL.refusedInvalid, error: 10 * CONTROL.refusedError }, 'by the poller');
  t.match(
    counts,
    { toolong: 10 * CONTROL.refusedToolong + 8, down: 10 * CONTROL.refusedDown + 7 },
    'with those that a change of the link has lost',
  );
  t.equal(counts.backlog, 50);
});

t.test('what tx let go and the peer has not seen', async (t) => {
  const kernel = { originalsSent: 100, originalsArrived: 90, cutSent: 50, cutArrived: 43 };
  t.same(
    judgeBehind(kernel, 20, 19),
    { missing: 10 + 7 + 1, copies: 0, lost: 7 },
    'of each kind; captured frames come back all the same, held ones are in `held`',
  );
  t.same(
    judgeBehind({ ...kernel, cutArrived: 55 }, 20, 23),
    { missing: 10, copies: 5 + 3, lost: 0 },
    'copies of one kind do not hide what is missing of another',
  );
});

t.test('lost frames have a name, although the accounting balances', async (t) => {
  const stats = reading();
  t.same(lostBehind(stats), [
    ['held.dropped', 4],
    ['behind.lost', 80_000_000],
    ['stray', 44],
  ]);
  stats.held.dropped = stats.behind.lost = stats.stray = 0;
  t.same(lostBehind(stats), []);
});
