// SPDX-License-Identifier: MIT
/** Why frames are missing on the reinject path is told by what happened to the link meanwhile. */
import t from 'tap';

import { LinkLosses } from '../../src/controller/losses';

function setUp() {
  const losses = { down: 0, toolong: 0 };
  const state = { taken: 0, saves: 0 };
  const kept = new LinkLosses(losses, () => Math.max(0, state.taken - losses.down - losses.toolong), () => state.saves++);
  return { losses, state, kept, lose: (count: number) => void (state.taken += count) };
}

t.test('what was missing before a change is not its fault, what is missing after it is', async (t) => {
  const { losses, state, kept, lose } = setUp();
  lose(7);
  kept.look();
  kept.changed('down');
  lose(500);
  kept.look();
  t.same(losses, { down: 500, toolong: 0 });
  lose(18);
  kept.look();
  t.same(losses, { down: 518, toolong: 0 }, 'also what comes out a little later');
  t.equal(state.saves, 2, 'written down each time');
});

t.test('long after a change it is a backlog again', async (t) => {
  const { losses, state, kept, lose } = setUp();
  kept.changed('toolong');
  for (let i = 0; i < 4; i++) kept.look();
  lose(5);
  kept.look();
  t.same(losses, { down: 0, toolong: 0 });
  t.equal(state.saves, 0);
  kept.changed('toolong');
  lose(2);
  kept.look();
  t.same(losses, { down: 0, toolong: 2 }, 'and stays so when the next change comes');
});
