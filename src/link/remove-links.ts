// SPDX-License-Identifier: MIT
/**
 * Removes links in one step and in bounded time, in the calling thread's network namespace.
 *
 * The kernel removes a link when nobody holds it any more, and lets whoever asked for it wait that long
 * (netdev_wait_allrefs_any in net/core/dev.c), where no signal reaches him. A process that is blocked while it sends by
 * AF_PACKET holds its interface (packet_snd in net/packet/af_packet.c) until its earlier frames are freed, which may lie in
 * the waiting room. So what belongs together is removed together: the kernel first empties the qdiscs of all that it
 * removes, and waits only then (unregister_netdevice_many). And another process asks for it: should it wait for somebody
 * else, we go on without.
 */
import { commandWithin } from '../native/command';
import { ifPossible } from './if-possible';
import { linkByIndex, setGroup } from './links';

/** How long the kernel may take; milliseconds. It needs 20 to 200, and answers to `detach` are awaited for 5 s. */
const REMOVAL_MS = 3000;

/** `held`: they are gone for everybody, but the kernel waits for a process that still uses one. `there`: at least one is still there. */
export type Removal = 'removed' | 'held' | 'there';

/** A group of links that nobody else uses; the kernel's default is 0. iproute2 takes 31 bits. */
export const linkGroup = (id: string): number => (parseInt(id, 16) & 0x7fffffff) || 1;

/** Removes links by their indexes, the other ends of veths and what is on top of them with them. `group` is theirs alone. */
export function removeLinks(ifindexes: readonly number[], group: number): Removal {
  if (ifindexes.length === 0) return 'removed';
  for (const ifindex of ifindexes) ifPossible(() => setGroup(ifindex, group));
  const ended = commandWithin(REMOVAL_MS, 'ip', ['link', 'delete', 'group', String(group)]);
  if (ifindexes.some((ifindex) => linkByIndex(ifindex) !== null)) return 'there';
  return ended ? 'removed' : 'held';
}
