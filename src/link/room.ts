// SPDX-License-Identifier: MIT
/**
 * Makes the waiting room of one queue, in the peer namespace: a macvlan with a tbf qdisc, where held frames queue until
 * the poller grants them credit, on top of a veth whose TC egress program puts them into the ring.
 *
 * A macvlan transmits by calling its lower device (macvlan_queue_xmit in drivers/net/macvlan.c), so a frame goes from
 * the qdisc to that program in one go, on one CPU. A plain veth would have a per-CPU backlog in between, where frames
 * that two CPUs dequeue overtake each other.
 */
import { MAX_MTU } from '../options/values';
import type { Room } from '../state/record';
import { KICK_BYTES, roomFrameMax, roomQdisc, RTM_NEWQDISC } from './credit';
import { addMacvlan, addVeth, type Link, qdiscsOf, setUp } from './links';
import { change, NLM_F_CREATE, NLM_F_REPLACE } from './rtnetlink';
import { allowBigTcp, refused } from './veth';

/** The prefix of the names of all exits of an attachment. */
export const roomExits = (id: string): string => `vx${id}`;

/** Names of the room's entry and exit, unique in the peer namespace. The exit is a veth, whose other end is unused. */
export const roomNames = (id: string, queue: number): { entry: string; exit: string; unused: string } => ({
  entry: `vr${id}q${queue}`,
  exit: `${roomExits(id)}q${queue}`,
  unused: `vy${id}q${queue}`,
});

/** Whether a name is peerName() or one of roomNames(), of any attachment: all that is made in the peer namespace. */
export const isPeerNetnsName = (name: string): boolean => /^v[prxy][0-9a-f]{8}(q\d+)?$/.test(name);

/** The first ifindex of rooms: far above those that the kernel gives, which are small and consecutive. */
const FIRST_INDEX = 1 << 20;

/**
 * Plans the rooms of an attachment, with their indexes: the programs that know these are loaded while the rooms are
 * made. `present` are the links of the peer namespace; no other process makes any while the caller has the global lock.
 */
export function planRooms(id: string, queues: number, present: readonly Link[]): Room[] {
  const first = Math.max(FIRST_INDEX, ...present.map(({ ifindex }) => ifindex + 1));
  return Array.from({ length: queues }, (_, queue) => {
    const { entry, exit } = roomNames(id, queue);
    // The third index is that of the exit's unused end.
    return { entry: { name: entry, ifindex: first + 3 * queue }, exit: { name: exit, ifindex: first + 3 * queue + 1 } };
  });
}

/** Makes a room as planned, with entry and exit up. Runs in the peer namespace. `frameCost` is roomFrameCost(). */
export function createRoom(
  id: string,
  queue: number,
  { entry, exit }: Room,
  frameCost: number,
  superpacketBytes: number,
): void {
  const { unused } = roomNames(id, queue);
  const up = { mtu: MAX_MTU, up: true };
  try {
    addVeth({ ...exit, ...up }, { name: unused, mtu: MAX_MTU, ifindex: exit.ifindex + 1 });
    setUp(exit.ifindex + 1);
    addMacvlan({ ...entry, ...up }, exit.ifindex);
    allowBigTcp(entry.ifindex, superpacketBytes);
  } catch (cause) {
    throw refused(
      'the waiting room',
      cause,
      'EOPNOTSUPP',
      'this kernel has no macvlan',
      'modprobe macvlan, or attach with --when-full drop',
    );
  }
  try {
    makeTbf(entry.ifindex, frameCost, superpacketBytes);
  } catch (cause) {
    throw refused(
      'the waiting room',
      cause,
      'ENOENT',
      'this kernel has no tbf qdisc',
      'modprobe sch_tbf, or attach with --when-full drop',
    );
  }
}

/** Adds the tbf to the room's entry, closed, or closes the one that it has. `frameCost` is roomFrameCost(). */
export function makeTbf(entry: number, frameCost: number, superpacketBytes: number): void {
  change(RTM_NEWQDISC, roomQdisc(entry, frameCost, roomFrameMax(superpacketBytes)).body, NLM_F_CREATE | NLM_F_REPLACE);
}

/**
 * Number of frames that wait in the room, as its qdisc counts them; null if it is gone. If all have the size of a kick
 * they are taken for kicks, and the number is 0: the caller makes sure that nothing else comes out any more.
 */
export function roomBacklog(id: string, queue: number): number | null {
  const { entry } = roomNames(id, queue);
  const tbf = qdiscsOf(entry).find(({ kind }) => kind === 'tbf');
  if (!tbf) return null;
  return tbf.backlog === tbf.qlen * KICK_BYTES ? 0 : tbf.qlen;
}
