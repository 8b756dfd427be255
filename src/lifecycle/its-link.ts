// SPDX-License-Identifier: MIT
/**
 * The interface of an attachment, which may have another name by now: a controller follows that and records it, but
 * nobody does once it has crashed.
 */
import { BpfError, restoreTcLink, type TcLinkState } from 'libbpf-ts';

import { type Link, linkByIndex } from '../link/links';
import type { Netns } from '../link/netns';
import { isIn } from '../link/netns-record';
import { allAttachments, type Attachment, isControlled } from '../state/store';

/**
 * The interface of an attachment, whatever its name is by now; null if it is no longer in its namespace, which the
 * calling thread is in. Indexes and names are reused, so a veth is ours if its other end is our peer, a dummy if it
 * still has its name, or `tx` attached to it.
 */
export function itsLink({ backend, peer, iface, ifindex, links: programs }: Attachment): Link | null {
  const link = ifindex > 0 ? linkByIndex(ifindex) : null;
  if (link?.kind !== backend) return null;
  const isOurs = peer
    ? link.peerIfindex === peer.ifindex
    : link.name === iface || (programs !== null && isAttached(programs.tx));
  return isOurs ? link : null;
}

function isAttached(state: TcLinkState): boolean {
  return (
    ifThere(() => {
      using link = restoreTcLink(state);
      return link.isAttached();
    }) ?? false
  );
}

/** Runs `body`; undefined if the pin or the link is gone already. */
export function ifThere<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof BpfError) || error.errnoName !== 'ENOENT') throw error;
    return undefined;
  }
}

/**
 * The attachment in that namespace whose interface has this name; otherwise, one that had it when its controller
 * crashed. Null if there is neither.
 */
export function attachmentCalled(iface: string, netns: Netns): Attachment | null {
  const here = allAttachments().filter(isIn(netns));
  const recorded = here.filter((each) => each.iface === iface);
  const crashed = here.filter((each) => !isControlled(each));
  return (
    recorded.find((each) => !crashed.includes(each)) ??
    crashed.find((each) => netns.run(() => itsLink(each))?.name === iface) ??
    recorded[0] ??
    null
  );
}
