// SPDX-License-Identifier: MIT
/** The user's namespace of an attachment. */
import { isNetns, openNetns } from '../link/netns-record';
import type { Netns } from '../link/netns';
import { allAttachments, findAttachment, isControlled, type Attachment } from '../state/store';

/** Whether an attachment is in that namespace. */
export const isIn = (netns: Netns) => ({ netns: record }: Attachment): boolean => isNetns(netns, record);

/** The attachment of an interface in that namespace, or null. */
export const attachmentIn = (iface: string, netns: Netns): Attachment | null => findAttachment(iface, isIn(netns));

/**
 * Before Linux 5.14 namespaces have no cookies, and the record of a crashed attachment may name the inode of a new
 * namespace. Where a running attachment there has the same name or index, what it made is not touched.
 */
function isClaimed({ id, iface, ifindex, netns }: Attachment): boolean {
  return allAttachments().some((other) => other.id !== id && other.netns.inode === netns.inode && (other.iface === iface || other.ifindex === ifindex) && isControlled(other));
}

/** The namespace of an attachment, if it still exists; the caller closes it. */
export function openAttachmentNetns(attachment: Attachment): Netns | null {
  const found = openNetns(attachment.netns, attachment.pid);
  if (!found || attachment.netns.cookie !== null || !isClaimed(attachment)) return found;
  found.close();
  return null;
}
