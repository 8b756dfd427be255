// SPDX-License-Identifier: MIT
/** In which settings the waiting room is searched: small ones, each for one thing that can happen. */
import type { RoomSetting } from './room-state';

const ring = { ring: 4, limit: 1, spare: 2 };
/** As small as it can be, where no frame is between the room and the ring for as long as a grant takes. */
const exact = { ring: 3, limit: 1, spare: 0, prompt: true };

export const ROOM_SETTINGS = {
  'two flows': { ...ring, filled: true, frames: [[1, 1], [1]] },
  'two senders that find the same place free': { ...ring, racing: true, frames: [[1, 1], [1]] },
  'a superpacket between plain frames, whole or cut up': { ...ring, filled: true, cuts: true, frames: [[1, 2, 1], []] },
  'a superpacket beside another flow': { ...ring, filled: true, cuts: true, frames: [[1, 2], [1]] },
  'a frame that a qdisc drops, one that the room drops': {
    ...ring,
    filled: true,
    cuts: true,
    drops: 1,
    roomDrops: 1,
    frames: [[1, 2], []],
  },
  'a frame that a qdisc doubles': { ...ring, filled: true, copies: 1, frames: [[1, 1], []] },
  'a superpacket that a qdisc doubles': { ...ring, filled: true, cuts: true, copies: 1, frames: [[1, 2], []] },
  'nothing in a stopped queue': { ...exact, unused: 1, frames: [[1, 1], []] },
  'more in the room than the ring takes': { ...exact, waiting: 4, frames: [[1, 1, 1, 1], []] },
  'more in the room than the ring takes, and another flow': {
    ...exact,
    spare: 1,
    waiting: 2,
    frames: [
      [1, 1],
      [1, 1],
    ],
  },
  'a room that is empty before its grant is used up': { ...exact, limit: 2, unused: 2, frames: [[1, 1, 1], []] },
  'a kill while the room is emptied': { ...exact, waiting: 4, crashes: 1, frames: [[1, 1, 1, 1], []] },
  'a kill, and a frame that a qdisc doubles': { ...ring, filled: true, copies: 1, crashes: 1, frames: [[1, 1], []] },
} satisfies Record<string, RoomSetting>;
