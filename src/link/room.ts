// SPDX-License-Identifier: MIT
/**
 * Makes the waiting room of one queue, in the hidden namespace: a macvlan with a tbf qdisc,
 * where held frames queue until the poller grants them credit, on top of a veth whose egress hook
 * puts them into the ring.
 *
 * A macvlan transmits by calling its lower device (macvlan_queue_xmit in drivers/net/macvlan.c),
 * so a frame goes from the qdisc to the hook in one piece, on one CPU. With a plain veth it would
 * pass a per-CPU backlog in between, where frames that two CPUs dequeue overtake each other.
 */
import { KICK_BYTES, roomQdisc, RTM_NEWQDISC } from '../datapath/waiting-room';
import { VnetError } from '../errors';
import { SystemError } from '../native/libc';
import { ipBatch } from './ip';
import type { Link } from './links';
import { qdiscsOf } from './qdisc';
import { change, NLM_F_CREATE, NLM_F_REPLACE } from './rtnetlink';
import { MAX_MTU } from './veth';

/** How the names of all exits of an attachment begin. */
export const roomExits = (id: string): string => `vx${id}`;

/** Names of the room's entry and exit, unique in the hidden namespace; a veth's exit has an unused end. */
export const roomNames = (id: string, queue: number): { entry: string; exit: string; unused: string } => ({
  entry: `vr${id}q${queue}`,
  exit: `${roomExits(id)}q${queue}`,
  unused: `vy${id}q${queue}`,
});

export interface Room {
  entry: { name: string; ifindex: number };
  exit: { name: string; ifindex: number };
}

/** Far above the indexes that the kernel gives, which are small and in their order. */
const FIRST_INDEX = 1 << 20;

/**
 * The rooms of an attachment that are to be made, with their indexes: the programs that know them are loaded
 * meanwhile. `present` are the links of the hidden namespace; nobody else makes any while the caller has the global lock.
 */
export function planRooms(id: string, queues: number, present: readonly Link[]): Room[] {
  const first = Math.max(FIRST_INDEX, ...present.map(({ ifindex }) => ifindex + 1));
  return Array.from({ length: queues }, (_, queue) => {
    const { entry, exit } = roomNames(id, queue);
    return { entry: { name: entry, ifindex: first + 2 * queue }, exit: { name: exit, ifindex: first + 2 * queue + 1 } };
  });
}

/** Makes a room as planned, entry and exit up; runs in the hidden namespace. `frameCost` is what credit.ts says. */
export function createRoom(id: string, queue: number, { entry, exit }: Room, frameCost: number): void {
  const names = roomNames(id, queue);
  ipBatch([
    `link add name ${names.exit} index ${exit.ifindex} mtu ${MAX_MTU} type veth peer name ${names.unused} mtu ${MAX_MTU}`,
    `link set dev ${names.unused} up`,
    `link set dev ${names.exit} up`,
    `link add link ${names.exit} name ${names.entry} index ${entry.ifindex} mtu ${MAX_MTU} type macvlan mode private`,
    `link set dev ${names.entry} up`,
  ]);
  makeQdisc(entry.ifindex, frameCost);
}

function makeQdisc(ifindex: number, frameCost: number): void {
  try {
    change(RTM_NEWQDISC, roomQdisc(ifindex, frameCost).body, NLM_F_CREATE | NLM_F_REPLACE);
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    const why = cause.code === 'ENOENT' ? 'this kernel has no tbf qdisc' : cause.message;
    throw new VnetError('COMMAND_FAILED', 'the waiting room', why, { hint: 'modprobe sch_tbf, or attach with --when-full drop', cause });
  }
}

/**
 * Frames that wait in the room, as its qdisc counts them; null if it is gone. If all have the size
 * of a kick they are taken for kicks: the caller makes sure that nothing else comes out any more.
 */
export function roomBacklog(id: string, queue: number): number | null {
  const { entry } = roomNames(id, queue);
  const tbf = qdiscsOf(entry).find(({ kind }) => kind === 'tbf');
  if (!tbf) return null;
  return tbf.backlog === tbf.qlen * KICK_BYTES ? 0 : tbf.qlen;
}
