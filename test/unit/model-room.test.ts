// SPDX-License-Identifier: MIT
/** The protocol of the waiting room: every interleaving of small settings. */
import t from 'tap';

import { holds } from '../model/expect';
import { Room } from '../model/room';
import { ROOM_SETTINGS } from '../model/room-settings';

for (const [what, setting] of Object.entries(ROOM_SETTINGS)) {
  t.test(`the waiting room loses, strands and reorders nothing: ${what}`, async (t) =>
    holds(t, new Room(setting), what),
  );
}
