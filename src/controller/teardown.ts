// SPDX-License-Identifier: MIT
/**
 * Removes everything that an attachment made, and nothing else. Each step looks at what is there,
 * so it can be run on whatever a killed controller left, and run again. The caller holds the
 * global lock, and no controller lives.
 */
import { BpfError, restoreTcLink, type TcLinkState } from 'libbpf-ts';

import { removeHairpin } from '../link/hairpin';
import { unnamedDummy } from '../link/dummy';
import { ifPossible } from '../link/if-possible';
import { linkByIndex, linkByName, links, type Link } from '../link/links';
import { removeLink } from '../link/make-links';
import { roomExits } from '../link/room';
import { restoreTaken } from '../link/taken';
import { peerName } from '../link/veth';
import { openPeerNetns, removeEmptyPeerNetns } from '../link/peer-netns';
import { removePins } from '../state/bpffs';
import { step } from './fault';
import { forgetAttachment, saveIfPossible, type Attachment } from '../state/store';
import { openAttachmentNetns } from './attachment-netns';

export { openAttachmentNetns };

export function teardown(attachment: Attachment): void {
  // For list, should this be killed; it is removed whether that can be written or not.
  if (attachment.phase !== 'detaching') saveIfPossible({ ...attachment, phase: 'detaching' });
  step('detaching');
  removeFromUserNetns(attachment);
  step('interface-removed');
  removePeer(attachment);
  step('peer-removed');
  removePins(attachment.id);
  step('pins-removed');
  removeEmptyPeerNetns();
  step('peer-netns-removed');
  forgetAttachment(attachment.id);
  step('forgotten');
}

function removeFromUserNetns(attachment: Attachment): void {
  const netns = openAttachmentNetns(attachment);
  if (!netns) return; // the namespace is gone, and the interface, rules and routes with it
  try {
    netns.run(() => {
      if (attachment.hairpin) removeHairpin(attachment.iface, attachment.hairpin.table);
      if (attachment.taken) {
        if (attachment.links) detachLink(attachment.links.tx);
        restoreTaken(attachment.iface, attachment.taken, attachment.added);
      } else {
        const link = attachment.ifindex > 0 ? linkByIndex(attachment.ifindex) : null;
        if (link && isOurs(link, attachment)) ifPossible(() => removeLink(link.ifindex));
        const unnamed = attachment.backend === 'dummy' ? linkByName(unnamedDummy(attachment.id)) : null;
        if (unnamed) ifPossible(() => removeLink(unnamed.ifindex));
      }
    });
  } finally {
    netns.close();
  }
}

/** Indexes are used again: a veth is ours if its other end is our peer, a dummy if it still has its name. */
function isOurs(link: Link, { backend, peer, iface }: Attachment): boolean {
  if (link.kind !== backend) return false;
  return peer ? link.peerIfindex === peer.ifindex : link.name === iface;
}

/** Takes `tx` off an interface that stays; with one that goes, the kernel does it. */
function detachLink(state: TcLinkState): void {
  try {
    restoreTcLink(state).detach();
  } catch (error) {
    if (!(error instanceof BpfError) || error.errnoName !== 'ENOENT') throw error; // ENOENT: gone already
  }
}

/** The names there are unique to this attachment; deleting one end deletes the pair. */
function removePeer(attachment: Attachment): void {
  const peerNetns = openPeerNetns();
  if (!peerNetns) return;
  try {
    peerNetns.run(() => {
      const { id } = attachment;
      const left = links().filter(({ name }) => name === peerName(id) || name.startsWith(roomExits(id)));
      for (const { ifindex } of left) ifPossible(() => removeLink(ifindex));
    });
  } finally {
    peerNetns.close();
  }
}
