// SPDX-License-Identifier: MIT
/** Finds the attachment that a user names by interface and namespace, even if its record is damaged. */
import { closest, commandAbout, nothingIsAttached, operandFor, shellWord, VnetError } from '../errors';
import { type Link, linkByName } from '../link/links';
import { Netns, openPeerNetns } from '../link/netns';
import {
  isIn,
  isNetns,
  netnsFile,
  netnsFiles,
  netnsName,
  openAttachmentNetns,
  otherEnd,
  recordNetns,
} from '../link/netns-record';
import { loopTable } from '../link/rules';
import { peerName } from '../link/veth';
import { DEFAULTS, runningOptionsOf } from '../options/attach-options';
import type { NetnsRecord } from '../state/record';
import {
  allAttachments,
  type Attachment,
  type BrokenAttachment,
  brokenAttachments,
  isBroken,
  isControlled,
  STATE_VERSION,
} from '../state/store';
import { attachmentCalled } from './its-link';

// Attachments whose record is damaged. The names of the peer and of the pins contain the identity of an attachment, and
// the peer's other end is the interface. The rest comes from those fields of the record that are sound.

export interface Located {
  /** For teardown and for messages. Unknown fields have values for which teardown removes nothing. */
  attachment: Attachment;
  /** Whether the kernel, or an intact part of the record, says where it is. */
  located: boolean;
}

/** A record that no namespace matches. */
const NOWHERE: NetnsRecord = { name: null, inode: 0, cookie: null, boot: null };

/** The record of an attachment of which nothing but the identity is known. */
const unknown = (id: string): Attachment => ({
  version: STATE_VERSION,
  id,
  phase: 'detaching',
  iface: id,
  ifindex: 0,
  // The interface may have existed before attach, so it is left alone.
  taken: { wasUp: true, addresses: [], sysctls: {}, group: null },
  added: [],
  netns: NOWHERE,
  backend: 'veth',
  peer: null,
  reinjectMark: 0,
  rooms: [],
  attach: 'tcx',
  links: null,
  pid: 0,
  startedAt: '',
  ...runningOptionsOf(DEFAULTS),
  superpacketBytes: 0,
  lowWatermarkBytes: 0,
  lowWatermarkPackets: 0,
  whenFull: 'drop',
  hook: null,
  onHookError: 'pass',
  hookDown: null,
  faults: null,
  carrierLost: null,
  baseline: { peerTxPackets: 0 },
  hairpin: null,
  impairment: null,
  lostByChange: { down: 0, toolong: 0 },
  metrics: null,
});

export function locate({ id, sound }: BrokenAttachment): Located {
  const { links: _links, ...rest } = sound;
  const recorded: Attachment = { ...unknown(id), ...rest, id };
  const found = interfaceOf(id);
  const ifindex = found?.link.ifindex ?? recorded.ifindex;
  const attachment: Attachment = {
    ...recorded,
    ...(found && {
      iface: found.link.name,
      ifindex,
      netns: found.netns,
      backend: 'veth',
      peer: found.peer,
      taken: null,
    }),
    // The interface's table identifies its rules: teardown looks for them in the kernel.
    hairpin: ifindex > 0 ? { addresses: [], table: loopTable(ifindex) } : null,
    links: recorded.backend === 'dummy' ? (sound.links ?? null) : null,
  };
  return { attachment, located: found !== null || sound.netns !== undefined };
}

/** The record of an attachment, or what is known of one whose record is damaged. */
export const known = (attachment: Attachment | BrokenAttachment): Attachment =>
  isBroken(attachment) ? locate(attachment).attachment : attachment;

/**
 * Finds the interface of an attachment by its peer; null if the peer is gone, or the interface's namespace cannot be
 * found.
 */
function interfaceOf(id: string): { link: Link; netns: NetnsRecord; peer: { name: string; ifindex: number } } | null {
  using home = openPeerNetns();
  const peer = home?.run(() => linkByName(peerName(id)));
  const found = home && peer && otherEnd(home, peer, netnsFiles());
  if (!found) return null;
  using netns = found.netns;
  const record = recordNetns(netns, null);
  return {
    link: found.link,
    netns: { ...record, name: netnsName(record) },
    peer: { name: peer.name, ifindex: peer.ifindex },
  };
}

/** Opens the namespace of that name; null if there is none any more. */
function openNamed(name: string | null): Netns | null {
  try {
    return Netns.named(name);
  } catch (error) {
    if (error instanceof VnetError && error.code === 'NO_SUCH_NETNS') return null;
    throw error;
  }
}

/**
 * Attachments that were made under this name of a namespace, which is gone or has lost its name; those whose controller
 * has crashed come first. If another namespace has the name now, the name does not mean a running attachment whose
 * namespace has none.
 */
function formerly(name: string | null, netns: Netns | null): Attachment[] {
  const left = allAttachments().filter((each) => each.netns.name === name && !(netns && isIn(netns)(each)));
  return left
    .filter((each) => netns === null || isLost(each))
    .sort((a, b) => Number(isControlled(a)) - Number(isControlled(b)));
}

function isLost(attachment: Attachment): boolean {
  if (isControlled(attachment)) return false;
  using netns = openAttachmentNetns(attachment);
  return netns === null;
}

/**
 * Attachments in the namespace that has this name, then those in namespaces that had it at attach. Throws NO_SUCH_NETNS
 * if there is neither such a namespace nor such an attachment.
 */
export function attachmentsOfNetns(name: string): Attachment[] {
  using netns = openNamed(name);
  const found = [...(netns ? allAttachments().filter(isIn(netns)) : []), ...formerly(name, netns)];
  if (!netns && found.length === 0) Netns.named(name).close();
  return found;
}

/**
 * Broken attachments of this name in this namespace, as far as the kernel or the rest of their records show. Their
 * identity counts as a name, too.
 */
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

/** Finds an attachment by name, whole or broken. Throws NOT_ATTACHED with a hint that lists what is attached. */
export function requireNamed(iface: string, name: string | null): Attachment | BrokenAttachment {
  using netns = openNamed(name);
  const found =
    (netns && attachmentCalled(iface, netns)) ??
    formerly(name, netns).find((each) => each.iface === iface) ??
    brokenOnes(iface, name)[0];
  if (found) return found;
  if (!netns) Netns.named(name).close(); // throws: there is no namespace of that name
  throw new VnetError('NOT_ATTACHED', `interface ${iface}`, 'is not attached', {
    hint: whatIsAttached(iface, name, allAttachments(), (each) => netnsFile(each.netns, each.pid)),
  });
}

type Named = Pick<Attachment, 'iface'> & { netns: { name: string | null } };

/**
 * A hint that says what a name may have meant that is not attached there. `fileOf` finds a file of the namespace of an
 * attachment, null if it is gone.
 */
export function whatIsAttached<T extends Named>(
  iface: string,
  netns: string | null,
  all: readonly T[],
  fileOf: (each: T) => string | null,
): string {
  if (all.length === 0) return nothingIsAttached(netns);
  const typed = (each: Named): string => operandFor(each.iface, each.netns.name);
  const asked = operandFor(iface, netns);
  const ofThatName = all.filter((each) => each.iface === iface);
  const elsewhere = ofThatName.find((each) => typed(each) !== asked) ?? ofThatName[0];
  const here = all.filter((each) => each.netns.name === netns).map((each) => each.iface);
  const near =
    closest(iface, here) ??
    closest(
      iface,
      all.map((each) => each.iface),
    );
  const meant =
    elsewhere ??
    all.find((each) => each.iface === near && each.netns.name === netns) ??
    all.find((each) => each.iface === near);
  if (meant && typed(meant) === asked) return inAnotherNetns(fileOf(meant), netns);
  const list = `attached are: ${all.map(typed).join(', ')}`;
  return meant ? `did you mean ${typed(meant)}? ${list}` : list;
}

/** The hint for an attachment that is not reached by what would name it: its namespace has no name, or lost it. */
const inAnotherNetns = (file: string | null, asked: string | null): string =>
  file === null
    ? 'it is attached in a namespace that is gone; vnet-bpf detach --all removes it, and all others'
    : `it is attached in another namespace: put nsenter --net=${shellWord(file)} before the command${asked === null ? '' : ', without --netns'}`;

/** Finds an attachment by name, for commands that need its record. Throws STATE if that is damaged. */
export function requireAttachment(iface: string, name: string | null): Attachment {
  const found = requireNamed(iface, name);
  if (isBroken(found)) throw brokenError(found);
  return found;
}

/** The error that says why a broken attachment can only be detached. */
export function brokenError(broken: BrokenAttachment): VnetError {
  const { attachment } = locate(broken);
  return new VnetError('STATE', `interface ${attachment.iface}`, broken.why, {
    hint: `${commandAbout('detach', attachment)} removes it`,
  });
}
