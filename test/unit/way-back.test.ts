// SPDX-License-Identifier: MIT
/** What became of the frames that were sent back: the sum is right whatever the kernel's counters say. */
import t from 'tap';

import { judgeWayBack } from '../../src/datapath/way-back';
import type { ImpairmentRecord } from '../../src/state/store';

const record = (change: Partial<ImpairmentRecord> = {}): ImpairmentRecord => ({ words: ['loss', '1%'], enobufs: 10, lost: 0, backlog: 0, ...change });
const none = { waiting: 0, lost: 0, duplicated: 0 };

t.test('never impaired: what is missing did not fit into a backlog', async (t) => {
  t.same(judgeWayBack(100, 97, null, null, 0), { backlog: 3, impair: none });
  t.same(judgeWayBack(100, 101, null, null, 0), { backlog: 0, impair: none }, 'more than sent: a reading in between');
});

t.test('impaired', async (t) => {
  const { impair } = judgeWayBack(100, 80, record(), { waiting: 5, drops: 15 }, 10);
  t.same(impair, { waiting: 5, lost: 15, duplicated: 0 });
  t.same(judgeWayBack(100, 95, record(), { waiting: 0, drops: 15 }, 10).impair, { waiting: 0, lost: 15, duplicated: 10 }, 'losses and duplicates at once');
  t.same(judgeWayBack(100, 100, record(), { waiting: 0, drops: 7 }, 17).impair, none, 'what it had no room for was sent again');
  t.same(judgeWayBack(100, 90, record(), { waiting: 0, drops: 0 }, 10).impair, { ...none, lost: 10 }, 'what it does not own up to is lost all the same');
});

t.test('not impaired any more: what was counted stays, and what was known before it', async (t) => {
  t.same(judgeWayBack(100, 88, record({ words: null, lost: 14, backlog: 3 }), null, 99), { backlog: 3, impair: { waiting: 0, lost: 14, duplicated: 5 } });
});

t.test('the sum is always what was sent', async (t) => {
  for (const delivered of [50, 100, 150]) {
    for (const drops of [0, 20, 200]) {
      for (const waiting of [0, 30]) {
        const { backlog, impair } = judgeWayBack(100, delivered, record({ lost: 4, backlog: 2 }), { waiting, drops }, 15);
        t.equal(100 + impair.duplicated - impair.lost - impair.waiting - backlog, delivered, `${delivered}, ${drops}, ${waiting}`);
        t.ok(impair.lost >= 0 && impair.duplicated >= 0);
      }
    }
  }
});
