// SPDX-License-Identifier: MIT
/** Finds what a user names: an interface and a namespace. */
import { VnetError } from '../errors';
import { isNetns } from '../link/netns-record';
import { Netns } from '../link/netns';
import { commandAbout, commandFor, operandFor } from '../state/named';
import { allAttachments, brokenAttachments, isBroken, isControlled, type Attachment, type BrokenAttachment } from '../state/store';
import { closest } from '../suggest';
import { isIn, openAttachmentNetns } from './attachment-netns';
import { locate } from './broken';

/** The namespace of that name; null where none has it any more. */
function openNamed(name: string | null): Netns | null {
  try {
    return Netns.named(name);
  } catch (error) {
    if (error instanceof VnetError && error.code === 'NO_SUCH_NETNS') return null;
    throw error;
  }
}

/**
 * Those that were attached under a name of a namespace that is gone, or has lost its name; the first are those whose
 * controller has crashed. Where another namespace has the name now, a living one without is not meant by it.
 */
function formerly(name: string | null, netns: Netns | null): Attachment[] {
  const left = allAttachments().filter((each) => each.netns.name === name && !(netns && isIn(netns)(each)));
  return left.filter((each) => netns === null || isLost(each)).sort((a, b) => Number(isControlled(a)) - Number(isControlled(b)));
}

function isLost(attachment: Attachment): boolean {
  if (isControlled(attachment)) return false;
  using netns = openAttachmentNetns(attachment);
  return netns === null;
}

/** Those of the namespace that has that name, then those that had it at attach. Throws if there is neither such a namespace nor such an attachment. */
export function attachmentsOfNetns(name: string): Attachment[] {
  using netns = openNamed(name);
  const found = [...(netns ? allAttachments().filter(isIn(netns)) : []), ...formerly(name, netns)];
  if (!netns && found.length === 0) Netns.named(name).close();
  return found;
}

/** Broken attachments that are called so there, as far as the kernel or the rest of their records tell; their identity is a name, too. */
export function brokenOnes(iface: string | null, name: string | null | undefined): BrokenAttachment[] {
  using netns = name === undefined ? null : openNamed(name);
  return brokenAttachments().filter((each) => {
    if (each.id === iface) return true;
    const { attachment, located } = locate(each);
    if (iface !== null && attachment.iface !== iface) return false;
    if (name === undefined) return true;
    return netns && located ? isNetns(netns, attachment.netns) : attachment.netns.name === name;
  });
}

/** Finds an attachment by name, whole or broken; a NOT_ATTACHED error says which there are. */
export function requireNamed(iface: string, name: string | null): Attachment | BrokenAttachment {
  using netns = openNamed(name);
  const mine = (each: Attachment): boolean => each.iface === iface;
  const found = (netns && allAttachments().filter(isIn(netns)).find(mine)) ?? formerly(name, netns).find(mine) ?? brokenOnes(iface, name)[0];
  if (found) return found;
  if (!netns) Netns.named(name).close(); // throws: there is no namespace of that name
  throw new VnetError('NOT_ATTACHED', `interface ${iface}`, 'is not attached', { hint: whatIsAttached(iface, name, allAttachments()) });
}

type Named = Pick<Attachment, 'iface'> & { netns: { name: string | null } };

/** What may have been meant by a name that nothing has there, of what is attached. */
export function whatIsAttached(iface: string, netns: string | null, all: readonly Named[]): string {
  if (all.length === 0) return `nothing is attached; ${commandFor('attach', 'vnet0', netns)} does it`;
  const typed = (each: Named): string => operandFor(each.iface, each.netns.name);
  const elsewhere = all.find((each) => each.iface === iface);
  const here = all.filter((each) => each.netns.name === netns).map((each) => each.iface);
  const near = closest(iface, here) ?? closest(iface, all.map((each) => each.iface));
  const meant = elsewhere ?? all.find((each) => each.iface === near && each.netns.name === netns) ?? all.find((each) => each.iface === near);
  const list = `attached are: ${all.map(typed).join(', ')}`;
  return meant ? `did you mean ${typed(meant)}? ${list}` : list;
}

/** The same, whole: what is to be done with it needs its record. */
export function requireAttachment(iface: string, name: string | null): Attachment {
  const found = requireNamed(iface, name);
  if (isBroken(found)) throw brokenError(found);
  return found;
}

/** Why nothing but detach can be done with a broken attachment. */
export function brokenError(broken: BrokenAttachment): VnetError {
  const { attachment } = locate(broken);
  return new VnetError('STATE', `interface ${attachment.iface}`, broken.why, { hint: `${commandAbout('detach', attachment)} removes it` });
}
