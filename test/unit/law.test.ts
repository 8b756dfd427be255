// SPDX-License-Identifier: MIT
/** The law of the loop, and the counters that go into it. */
import t from 'tap';

import { COUNTERS, REFUSALS } from '../../src/datapath/layout';
import { law, sumCounters, type Refusal, type Stats } from '../../src/datapath/stats';

/** A reading in which every count that the law knows has another power of ten. */
function reading(): Stats {
  const refused = Object.fromEntries([...REFUSALS, 'toolong', 'invalid', 'down', 'backlog', 'error'].map((name) => [name, 1])) as Record<Refusal, number>;
  return {
    tx: { packets: 0, bytes: 0 },
    rx: { packets: 1000, bytes: 7 },
    queue: { packets: 200, stops: 9, wakes: 9 },
    held: { now: 30, total: 99, dropped: 4, again: 5, grants: 6 },
    refused,
    hooks: { dropped: 50_000, injected: 0, errors: 77 },
    impair: { waiting: 600_000, lost: 7_000_000, duplicated: 0 },
    reinject: { retries: 88, errors: 99 },
  } as unknown as Stats;
}

t.test('both sides, and whether they are equal', async (t) => {
  const stats = reading();
  const out = 1000 + 200 + 30 + 4 + Object.keys(stats.refused).length + 50_000 + 600_000 + 7_000_000;
  t.same(law(stats), { in: 0, out, balanced: false });
  stats.tx.packets = out;
  t.same(law(stats), { in: out, out, balanced: true });
  stats.tx.packets = out - 5;
  stats.hooks.injected = 5;
  t.same(law(stats), { in: out, out, balanced: true }, 'injected frames come in, too');
});

t.test('one frame more or less is seen', async (t) => {
  const stats = reading();
  stats.tx.packets = law(stats).out;
  for (const reason of Object.keys(stats.refused) as Refusal[]) {
    stats.refused[reason]++;
    t.notOk(law(stats).balanced, reason);
    stats.refused[reason]--;
  }
  t.ok(law(stats).balanced);
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
  t.same(sum.refused, REFUSALS.map((_, i) => factor * (COUNTERS.refused / 8 + i + 1)));
  t.equal(sum.stray, factor * (COUNTERS.stray / 8 + 1));
  t.same(sumCounters([]), { txPackets: 0, txBytes: 0, refused: REFUSALS.map(() => 0), stray: 0 });
});
