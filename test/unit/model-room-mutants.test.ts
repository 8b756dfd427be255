// SPDX-License-Identifier: MIT
/** The search finds what is wrong with each mutant of the waiting room's protocol. */
import t from 'tap';

import { DEADLOCK, NO_WAY } from '../model/checker';
import { isCaught } from '../model/expect';
import { Room } from '../model/room';
import { ROOM_SETTINGS } from '../model/room-settings';
import { ROOM_PROPERTIES, type RoomMutation, type RoomSetting } from '../model/room-state';

const { order, place, overdrawn, copy, stops } = ROOM_PROPERTIES;
const superpacket = ROOM_SETTINGS['a superpacket between plain frames, whole or cut up'];
const copies = ROOM_SETTINGS['a frame that a qdisc doubles'];
const crowded = ROOM_SETTINGS['more in the room than the ring takes'];
const unused = ROOM_SETTINGS['a room that is empty before its grant is used up'];

const MUTANTS: [RoomMutation, RoomSetting, string][] = [
  ['one per superpacket', superpacket, order],
  ['gate read before arrived', ROOM_SETTINGS['two flows'], NO_WAY],
  ['roomIn read before arrived', superpacket, order],
  ['closed by the gate alone', superpacket, order],
  ['closed by the room alone', superpacket, order],
  ['no compare-and-swap', ROOM_SETTINGS['nothing in a stopped queue'], order],
  ['no second look at the room', copies, DEADLOCK],
  ['sink counts after the frame is in the room', superpacket, order],
  ['sink counts arrival before the frame', superpacket, order],
  ['sink leaves the gate open', copies, DEADLOCK],
  ['no doorbell', ROOM_SETTINGS['two flows'], DEADLOCK],
  ['no doorbell for copies', copies, DEADLOCK],
  ['grant before the old one is used up', crowded, place],
  ['ring read before held_cost', crowded, place],
  ['old credit forgotten', crowded, overdrawn],
  // One frame more than in the setting itself: two to fill what tx may fill, two to come out of the open room.
  ['room left open', { ...unused, frames: [[1, 1, 1, 1], []] }, place],
  ['no kick', superpacket, NO_WAY],
  ['release counts out first', superpacket, order],
  ['lost without a look', ROOM_SETTINGS['nothing in a stopped queue'], order],
  ['look between the readings', ROOM_SETTINGS['a frame that a qdisc drops, one that the room drops'], copy],
  ['grant noted afterwards', ROOM_SETTINGS['a kill while the room is emptied'], overdrawn],
  ['wakes left as they are', ROOM_SETTINGS['a kill, and a frame that a qdisc doubles'], stops],
  ['no look at the room when adopted', ROOM_SETTINGS['a kill, and a frame that a qdisc doubles'], DEADLOCK],
];

for (const [mutation, setting, property] of MUTANTS) {
  t.test(`the search finds the mutant: ${mutation}`, async (t) => {
    isCaught(t, new Room({ ...setting, mutation }), mutation, property);
  });
}
