// SPDX-License-Identifier: MIT
/**
 * What became of the frames that were sent back: the sum is right whatever the kernel's counters say, and counters only
 * grow.
 */
import t from 'tap';

import { judgeReinjectAccounting, type ReinjectAccounting, type Seen } from '../../src/datapath/reinject-accounting';
import type { ImpairmentRecord } from '../../src/state/store';

const record = (change: Partial<ImpairmentRecord> = {}): ImpairmentRecord => ({
  words: ['loss', '1%'],
  enobufs: 10,
  drops: 0,
  lost: 0,
  byRules: null,
  backlog: 0,
  ...change,
});
const none = { waiting: 0, lost: 0, duplicated: 0 };
const UNSEEN: Seen = { lost: 0, duplicated: 0, unseen: 0, suspected: 0, since: 0 };

const exactly = (value: number): { from: number; to: number } => ({ from: value, to: value });

/** At rest, long enough for doubts to end; `waiting` and `drops` of netem, null without one. */
function judge(...args: [...Parameters<typeof judgeOnce>]): ReturnType<typeof judgeOnce> {
  const [sent, delivered, of, netem, enobufs, seen = UNSEEN, now = 0] = args;
  const first = judgeOnce(sent, delivered, of, netem, enobufs, seen, now);
  const second = judgeOnce(sent, delivered, of, netem, enobufs, first.seen, now + 200);
  return judgeOnce(sent, delivered, of, netem, enobufs, second.seen, now + 400);
}

function judgeOnce(
  sent: number,
  delivered: number,
  of: ImpairmentRecord | null,
  netem: { waiting: number; drops: number } | null,
  enobufs: number,
  seen = UNSEEN,
  now = 0,
): { reinjected: ReinjectAccounting; seen: Seen } {
  return judgeReinjectAccounting(
    { sent: exactly(sent), delivered: exactly(delivered), enobufs: exactly(enobufs), offering: 0, netem, now },
    of,
    seen,
  );
}

t.test('never impaired: what is missing did not fit into a backlog', async (t) => {
  t.same(judge(100, 97, null, null, 0).reinjected, { received: 97, backlog: 3, impair: none });
  t.same(
    judge(100, 101, null, null, 0).reinjected,
    { received: 100, backlog: 0, impair: none },
    'more than sent: a reading in between',
  );
});

t.test('impaired', async (t) => {
  const impairOf = (...args: Parameters<typeof judge>): ReinjectAccounting['impair'] =>
    judge(...args).reinjected.impair;
  t.same(impairOf(100, 80, record(), { waiting: 5, drops: 15 }, 10), { waiting: 5, lost: 15, duplicated: 0 });
  t.same(
    impairOf(100, 95, record(), { waiting: 0, drops: 15 }, 10),
    { waiting: 0, lost: 15, duplicated: 10 },
    'losses and duplicates at once',
  );
  t.same(impairOf(100, 100, record(), { waiting: 0, drops: 7 }, 17), none, 'what it had no space for was sent again');
  t.same(
    impairOf(100, 90, record(), { waiting: 0, drops: 0 }, 10),
    { ...none, lost: 10 },
    'what it does not own up to is lost all the same',
  );
  t.same(
    impairOf(100, 100, record({ words: ['loss', '1%', 'ecn'] }), { waiting: 0, drops: 30 }, 10),
    none,
    'what it marks is not lost',
  );
  t.same(
    impairOf(100, 95, record({ drops: 30, lost: 5 }), { waiting: 0, drops: 30 }, 10),
    { ...none, lost: 5 },
    'nor what it dropped under earlier words',
  );
});

t.test('not impaired any more: what was counted stays, and what was known before it', async (t) => {
  const { reinjected } = judge(100, 88, record({ words: null, lost: 14, backlog: 3 }), null, 99);
  t.same(reinjected, { received: 88, backlog: 3, impair: { waiting: 0, lost: 14, duplicated: 5 } });
});

t.test('frames that go with the link are lost, and what was doubled before stays doubled', async (t) => {
  const before = judge(100, 100, record(), { waiting: 15, drops: 5 }, 10);
  t.same(before.reinjected.impair, { waiting: 15, lost: 5, duplicated: 20 });
  const after = judge(100, 100, record(), { waiting: 0, drops: 5 }, 10, before.seen);
  t.same(after.reinjected.impair, { waiting: 0, lost: 20, duplicated: 20 });
  const later = judge(130, 122, record(), { waiting: 0, drops: 15 }, 10, after.seen);
  t.same(later.reinjected.impair, { waiting: 0, lost: 30, duplicated: 22 }, 'and what comes afterwards is told apart');
});

t.test('a frame between netem and the counter of the peer is not lost', async (t) => {
  const netem = { waiting: 5, drops: 0 };
  const moving = judgeOnce(100, 94, record(), netem, 10, UNSEEN, 1000);
  t.same(moving.reinjected.impair, { ...none, waiting: 6 });
  const still = judgeOnce(100, 94, record(), netem, 10, moving.seen, 1199);
  t.same(still.reinjected.impair, { ...none, waiting: 6 }, 'nor is one that the processor was taken from');
  const arrived = judgeOnce(100, 95, record(), netem, 10, still.seen, 1300);
  t.same(arrived.reinjected.impair, { ...none, waiting: 5 });
  const another = judgeOnce(100, 95, record(), { waiting: 4, drops: 0 }, 10, arrived.seen, 1400);
  t.same(another.reinjected.impair, { ...none, waiting: 5 }, 'and what was in doubt before is forgotten');
  const gone = judgeOnce(100, 95, record(), { waiting: 2, drops: 0 }, 10, another.seen, 1600);
  t.same(gone.reinjected.impair, { waiting: 4, lost: 1, duplicated: 0 }, 'one that stays away is lost, the rest later');
  const later = judgeOnce(100, 95, record(), { waiting: 2, drops: 0 }, 10, gone.seen, 1800);
  t.same(later.reinjected.impair, { waiting: 2, lost: 3, duplicated: 0 });
  const removed = judgeOnce(100, 95, record({ words: null }), null, 10, arrived.seen, 1400);
  t.same(removed.reinjected.impair, { ...none, lost: 5 }, 'without netem nothing is on its way');
});

t.test('by rules, frames that came back before they are counted as sent were not doubled', async (t) => {
  const byRules = { dropped: 0, injected: 0, since: { dropped: 0, injected: 0 } };
  const early = judge(100, 102, record({ byRules }), null, 0);
  t.same(early.reinjected.impair, none);
  const counted = judge(102, 102, record({ byRules }), null, 0, early.seen);
  t.same(counted.reinjected.impair, none, 'nor are as many lost once they are');
});

t.test('the sum is always what was sent', async (t) => {
  for (const delivered of [50, 100, 150]) {
    for (const drops of [0, 20, 200]) {
      for (const waiting of [0, 30]) {
        const { backlog, impair } = judge(
          100,
          delivered,
          record({ lost: 4, backlog: 2 }),
          { waiting, drops },
          15,
        ).reinjected;
        t.equal(
          100 + impair.duplicated - impair.lost - impair.waiting - backlog,
          delivered,
          `${delivered}, ${drops}, ${waiting}`,
        );
        t.ok(impair.lost >= 0 && impair.duplicated >= 0);
      }
    }
  }
});

t.test(
  'under load, by readings that do not belong together, counters only grow, never beyond the truth, and at rest they are exact',
  async (t) => {
    let state = 7;
    const random = (below: number): number => (state = (state * 48271) % 2147483647) % below;
    for (let run = 0; run < 50; run++) {
      const truth = {
        sent: 0,
        delivered: 0,
        waiting: 0,
        between: 0,
        drops: 0,
        lost: 0,
        duplicated: 0,
        enobufs: 10,
        offering: 0,
      };
      const event = (): void => {
        const kind = random(12);
        if (kind < 6) {
          truth.sent++;
          truth.waiting++;
        } else if (kind === 6) {
          truth.waiting++;
          truth.duplicated++;
        } else if (kind === 7) {
          truth.sent++;
          truth.drops++;
          truth.lost++;
        } else if (kind === 8) {
          // Dropped for lack of space, and known to the poller only later.
          if (truth.offering === 0) truth.drops++;
          else truth.enobufs++;
          truth.offering = 1 - truth.offering;
        } else if (kind === 9 && random(30) === 0) {
          truth.lost += truth.waiting;
          truth.waiting = 0;
        } else if (truth.between > 0) {
          truth.between--;
          truth.delivered++;
        } else if (truth.waiting > 0) {
          truth.waiting--;
          truth.between++;
        }
      };
      const busy = (): void => {
        for (let n = random(20); n > 0; n--) event();
      };
      let { seen } = judge(0, 0, record(), { waiting: 0, drops: 0 }, 10);
      for (let reading = 0; reading < 40; reading++) {
        const first = { ...truth };
        busy();
        const before = truth.delivered;
        busy();
        const netem = { waiting: truth.waiting, drops: truth.drops };
        busy();
        const delivered = { from: before, to: truth.delivered };
        const { offering } = truth;
        busy();
        const judged = judgeReinjectAccounting(
          {
            sent: { from: first.sent, to: truth.sent },
            enobufs: { from: first.enobufs, to: truth.enobufs },
            offering,
            delivered,
            netem,
            now: 100 * reading,
          },
          record(),
          seen,
        );
        const { lost, duplicated } = judged.reinjected.impair;
        if (lost < seen.lost || duplicated < seen.duplicated || lost > truth.lost || duplicated > truth.duplicated)
          t.fail(JSON.stringify({ judged, seen, truth }));
        seen = judged.seen;
      }
      truth.enobufs += truth.offering;
      truth.delivered += truth.between;
      const { impair } = judge(truth.sent, truth.delivered, record(), truth, truth.enobufs, seen, 4000).reinjected;
      if (impair.lost - impair.duplicated !== truth.lost - truth.duplicated) t.fail(JSON.stringify({ impair, truth }));
    }
    t.pass('in 2000 readings');
  },
);
