// SPDX-License-Identifier: MIT
/** The batch log: a poller killed anywhere, and the one that takes over killed in that: every interleaving. */
import t from 'tap';

import { Adoption, ADOPTION_PROPERTIES, type AdoptionMutation } from '../model/adoption';
import { holds, isCaught } from '../model/expect';

const twice = { frames: [2, 1], ring: 2, crashes: 2 };
const once = { frames: [2, 1], ring: 3, crashes: 1 };

t.test('no frame is lost, sent twice or miscounted: two kills', async (t) =>
  holds(t, new Adoption(twice), 'two kills'),
);
t.test('no frame is lost, sent twice or miscounted: a ring of three', async (t) =>
  holds(t, new Adoption(once), 'a ring of three'),
);

const MUTANTS: [AdoptionMutation, string][] = [
  ['no batch log', ADOPTION_PROPERTIES.once],
  ['batch sent again', ADOPTION_PROPERTIES.once],
  ['marks not cleared', ADOPTION_PROPERTIES.rx],
  ['log ended before the counters', ADOPTION_PROPERTIES.once],
  ['counters added to', ADOPTION_PROPERTIES.drained],
  ['ring released whatever its position', ADOPTION_PROPERTIES.drained],
  ['refused counted by the poller alone', ADOPTION_PROPERTIES.refused],
  ['pieces forgotten', ADOPTION_PROPERTIES.once],
];

for (const [mutation, property] of MUTANTS) {
  t.test(`the search finds the mutant: ${mutation}`, async (t) => {
    isCaught(t, new Adoption({ ...twice, mutation }), mutation, property);
  });
}
