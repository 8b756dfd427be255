// SPDX-License-Identifier: MIT
/** Finds what a user names. */
import { VnetError } from '../errors';
import { Netns, netnsName } from '../link/netns';
import { allAttachments, findAttachment, isControlled, type Attachment } from '../state/store';

/** What a crashed controller left in a namespace that has been deleted since: only the name it had tells. */
function orphan(iface: string, name: string | null): Attachment | null {
  if (name === null) return null;
  const isIt = (a: Attachment): boolean => a.iface === iface && a.netns.name === name && netnsName(a.netns.inode) === null;
  return allAttachments().find((a) => isIt(a) && !isControlled(a)) ?? null;
}

function findByName(iface: string, name: string | null): Attachment | null {
  try {
    using netns = Netns.named(name);
    return findAttachment(iface, netns.inode) ?? orphan(iface, name);
  } catch (error) {
    const left = orphan(iface, name);
    if (left) return left;
    throw error;
  }
}

/** Finds an attachment by name; a NOT_ATTACHED error says which there are. */
export function requireAttachment(iface: string, name: string | null): Attachment {
  const attachment = findByName(iface, name);
  if (attachment) return attachment;
  const others = allAttachments().map((a) => (a.netns.name === null ? a.iface : `${a.iface} (--netns ${a.netns.name})`));
  throw new VnetError('NOT_ATTACHED', `interface ${iface}`, 'is not attached', {
    hint: others.length > 0 ? `attached are: ${others.join(', ')}` : 'nothing is attached; vnet-bpf attach vnet0 does it',
  });
}
