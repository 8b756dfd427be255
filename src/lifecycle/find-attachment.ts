// SPDX-License-Identifier: MIT
/** Finds the attachment that a user names by interface and namespace, also one whose record is damaged. */
import { closest, commandAbout, commandFor, operandFor, VnetError } from '../errors';
import { type Link, linkByName } from '../link/links';
import { Netns, openPeerNetns } from '../link/netns';
import { isIn, isNetns, netnsFiles, netnsName, openAttachmentNetns, otherEnd, recordNetns } from '../link/netns-record';
import { loopTable } from '../link/rules';
import { peerName } from '../link/veth';
import type { NetnsRecord } from '../state/record';
import { allAttachments, type Attachment, type BrokenAttachment, brokenAttachments, isBroken, isControlled, STATE_VERSION } from '../state/store';

// What can be known of an attachment whose record is damaged: its identity is in the names of its peer and its pins,
// and the peer's other end is the interface. Fields of the record that are sound say the rest.

export interface Located {
  /** For teardown, and to be named by: what is unknown is such that nothing is removed for its sake. */
  attachment: Attachment;
  /** Whether the kernel told where it is, or a sound part of the record. */
  located: boolean;
}

/** The namespace of nobody. */
const NOWHERE: NetnsRecord = { name: null, inode: 0, cookie: null, boot: null };

/** Of an attachment of which nothing is known but its identity. */
const unknown = (id: string): Attachment => ({
  version: STATE_VERSION,
  id,
  phase: 'detaching',
  iface: id,
  ifindex: 0,
  // An interface that may have been there before is left.
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
  queues: 1,
  superpacketBytes: 0,
  ringBytes: 0,
  queuePackets: 0,
  lowWatermarkBytes: 0,
  lowWatermarkPackets: 0,
  budget: 0,
  gro: false,
  busyPollUs: null,
  whenFull: 'drop',
  hook: null,
  onHookError: null,
  hookDown: null,
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
    ...(found && { iface: found.link.name, ifindex, netns: found.netns, backend: 'veth', peer: found.peer, taken: null }),
    // Rules are known by the interface's table: teardown looks for them in the kernel.
    hairpin: ifindex > 0 ? { addresses: [], table: loopTable(ifindex) } : null,
    links: recorded.backend === 'dummy' ? (sound.links ?? null) : null,
  };
  return { attachment, located: found !== null || sound.netns !== undefined };
}

/** The interface of an attachment by its peer; null if that is gone, or the namespace is not to be found. */
function interfaceOf(id: string): { link: Link; netns: NetnsRecord; peer: { name: string; ifindex: number } } | null {
  using home = openPeerNetns();
  const peer = home?.run(() => linkByName(peerName(id)));
  const found = home && peer && otherEnd(home, peer, netnsFiles());
  if (!found) return null;
  using netns = found.netns;
  const record = recordNetns(netns, null);
  return { link: found.link, netns: { ...record, name: netnsName(record) }, peer: { name: peer.name, ifindex: peer.ifindex } };
}

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
