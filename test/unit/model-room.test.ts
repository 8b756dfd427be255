// SPDX-License-Identifier: MIT
/** The protocol of the waiting room, proved by exhaustive search, and the search proved by what is wrong with its mutants. */
import t from 'tap';

import { DEADLOCK, NO_WAY } from '../model/checker';
import { holds, isCaught } from '../model/expect';
import { FAULTS, Room, type RoomMutation, type RoomSetting } from '../model/room';

const ring = { ring: 4, limit: 1, spare: 2 };
const exact = { ring: 3, limit: 1, spare: 0, prompt: true };

const SETTINGS = {
  'two flows': { ...ring, filled: true, frames: [[1, 1], [1]] },
  'two senders that find the same place free': { ...ring, racing: true, frames: [[1, 1], [1]] },
  'a superpacket between plain frames, whole or cut up': { ...ring, filled: true, cuts: true, frames: [[1, 2, 1], []] },
  'a superpacket beside another flow': { ...ring, filled: true, cuts: true, frames: [[1, 2], [1]] },
  'a frame that a qdisc drops, one that the room drops': { ...ring, filled: true, cuts: true, drops: 1, roomDrops: 1, frames: [[1, 2], []] },
  'a frame that a qdisc doubles': { ...ring, filled: true, cuts: true, copies: 1, frames: [[1, 2], []] },
  'more in the room than the ring takes': { ...exact, waiting: 4, frames: [[1, 1, 1, 1], []] },
  'more in the room than the ring takes, and senders': { ...exact, spare: 1, waiting: 2, frames: [[1, 1], [1, 1]] },
  'a room that is empty before its grant is used up': { ...exact, limit: 2, unused: 2, frames: [[1, 1, 1, 1], []] },
} satisfies Record<string, RoomSetting>;

for (const [what, setting] of Object.entries(SETTINGS)) {
  t.test(`the waiting room loses, doubles, strands and reorders nothing: ${what}`, async (t) => holds(t, new Room(setting), what));
}

const MUTANTS: [RoomMutation, keyof typeof SETTINGS, string][] = [
  ['one per superpacket', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['gate read before arrived', 'two flows', NO_WAY],
  ['roomIn read before arrived', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['closed by the gate alone', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['closed by the room alone', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['no compare-and-swap', 'a room that is empty before its grant is used up', FAULTS.order],
  ['no second look at the room', 'a frame that a qdisc doubles', DEADLOCK],
  ['sink counts after the frame is in the room', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['sink counts arrival before the frame', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['sink leaves the gate open', 'a frame that a qdisc doubles', DEADLOCK],
  ['no doorbell', 'two flows', DEADLOCK],
  ['no doorbell for copies', 'a frame that a qdisc doubles', DEADLOCK],
  ['grant before the old one is used up', 'more in the room than the ring takes', FAULTS.place],
  ['ring read before held_cost', 'more in the room than the ring takes', FAULTS.place],
  ['old credit forgotten', 'more in the room than the ring takes', FAULTS.overdrawn],
  ['room left open', 'a room that is empty before its grant is used up', FAULTS.place],
  ['no kick', 'a superpacket between plain frames, whole or cut up', NO_WAY],
  ['retry counts out first', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['lost without a look', 'a superpacket between plain frames, whole or cut up', FAULTS.order],
  ['look between the readings', 'a frame that a qdisc drops, one that the room drops', FAULTS.copy],
];

for (const [mutation, setting, property] of MUTANTS) {
  t.test(`the search finds the mutant: ${mutation}`, async (t) => {
    isCaught(t, new Room({ ...SETTINGS[setting], mutation }), `${mutation}, ${setting}`, property);
  });
}
