// SPDX-License-Identifier: MIT
/** `detach --dry-run`: the steps of teardown() in words. */
import { openPeerNetns } from '../link/peer-netns';
import { pinDirectory } from '../state/bpffs';
import { named } from '../state/named';
import { HOST_PEER_NETNS, stateDirectory } from '../state/paths';
import { everyAttachment, isBroken, isControlled, type Attachment } from '../state/store';
import { openAttachmentNetns } from './attachment-netns';

function stepsOf(attachment: Attachment): string[] {
  const { iface, netns, pid, backend, hairpin, taken, rooms, id } = attachment;
  const where = named(iface, netns.name);
  using open = openAttachmentNetns(attachment);
  const inNamespace = [
    ...(hairpin && hairpin.addresses.length > 0 ? [`remove the routing rules of ${where}, and the routes of ${hairpin.addresses.map(({ address }) => address).join(', ')}`] : []),
    taken ? `take the programs off ${where}, and leave the ${backend} as it was` : `delete the ${backend} ${where}`,
  ];
  return [
    isControlled(attachment) ? `ask process ${pid} to deliver what is in the ring of ${where}, and to end` : `discard what is in the ring of ${where}: ${pid > 0 ? `process ${pid}` : 'its controller'} has crashed`,
    ...(open ? inNamespace : [`the namespace of ${iface} is gone: nothing to remove there`]),
    ...(rooms.length > 0 ? [`delete the waiting room of ${where}`] : []),
    `remove the pins ${pinDirectory(id)}`,
    `remove the record ${stateDirectory(id)}`,
  ];
}

/** The steps, and whether the last interface goes with them, and so the hidden namespace. Changes nothing. */
export function removal(attachments: readonly Attachment[]): { steps: string[]; removesHidden: boolean } {
  const ids = new Set(attachments.map(({ id }) => id));
  using hidden = openPeerNetns();
  const removesHidden = hidden !== null && everyAttachment().every((each) => ids.has(each.id) || (!isBroken(each) && each.peer === null));
  return { steps: [...attachments.flatMap(stepsOf), ...(removesHidden ? [`remove the hidden network namespace ${HOST_PEER_NETNS}`] : [])], removesHidden };
}

export const detachSteps = (attachments: readonly Attachment[]): string[] => (attachments.length === 0 ? ['nothing is attached'] : removal(attachments).steps);
