// SPDX-License-Identifier: MIT
/**
 * Makes the waiting room of one interface, in the hidden namespace: a macvlan with a tbf qdisc,
 * where held frames queue until the poller grants them credit, on top of a veth whose egress hook
 * puts them into the ring.
 *
 * A macvlan transmits by calling its lower device (macvlan_queue_xmit in drivers/net/macvlan.c),
 * so a frame goes from the qdisc to the hook in one piece, on one CPU. With a plain veth it would
 * pass a per-CPU backlog in between, where frames that two CPUs dequeue overtake each other.
 */
import { ROOM_BYTES, ROOM_FRAME_MAX } from '../datapath/credit';
import { KICK_BYTES } from '../datapath/waiting-room';
import { HINTS, VnetError } from '../errors';
import { command } from '../native/command';
import { ipBatch } from './ip';
import { links, type Link } from './links';
import { qdiscsOf } from './qdisc';
import { MAX_MTU } from './veth';

/** Names of the room's entry and exit, unique in the hidden namespace; a veth's exit has an unused end. */
export const roomNames = (id: string): { entry: string; exit: string; unused: string } => ({
  entry: `vr${id}`,
  exit: `vx${id}`,
  unused: `vy${id}`,
});

/** Makes entry and exit, both up; runs in the hidden namespace. `frameCost` is what credit.ts says. */
export function createRoom(id: string, frameCost: number): { entry: Link; exit: Link } {
  const names = roomNames(id);
  ipBatch([
    `link add name ${names.exit} mtu ${MAX_MTU} type veth peer name ${names.unused} mtu ${MAX_MTU}`,
    `link set dev ${names.unused} up`,
    `link set dev ${names.exit} up`,
    `link add link ${names.exit} name ${names.entry} mtu ${MAX_MTU} type macvlan mode private`,
    `link set dev ${names.entry} up`,
  ]);
  // 8bit: a byte a second, the least there is. The poller's grants are what lets frames out.
  // prettier-ignore
  command('tc', [
    'qdisc', 'replace', 'dev', names.entry, 'root', 'handle', '1:', 'tbf', 'rate', '8bit',
    'burst', String(ROOM_FRAME_MAX), 'limit', String(ROOM_BYTES), 'overhead', String(frameCost), 'linklayer', 'ethernet',
  ]);
  const made = links();
  const entry = made.find(({ name }) => name === names.entry);
  const exit = made.find(({ name }) => name === names.exit);
  if (!entry || !exit) throw new VnetError('INTERFACE_GONE', 'the waiting room', 'somebody removed it while it was being made', { hint: HINTS.removed });
  return { entry, exit };
}

/**
 * Frames that wait in the room, as its qdisc counts them; null if it is gone. If all have the size
 * of a kick they are taken for kicks: the caller makes sure that nothing else comes out any more.
 */
export function roomBacklog(id: string): number | null {
  const { entry } = roomNames(id);
  const tbf = qdiscsOf(entry).find(({ kind }) => kind === 'tbf');
  if (!tbf) return null;
  return tbf.backlog === tbf.qlen * KICK_BYTES ? 0 : tbf.qlen;
}
