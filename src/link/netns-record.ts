// SPDX-License-Identifier: MIT
/**
 * Finds the namespace that a record tells of, and the one that the other end of a veth is in. A namespace is known by its
 * cookie and the boot: the kernel gives the inode of a namespace that is gone to the next one, and the number of a process
 * to another.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { hostPath } from '../state/paths';
import type { NetnsRecord } from '../state/record';
import { allAttachments, type Attachment, findAttachment, isControlled } from '../state/store';
import { ifinfo, type Link, linkByIndex } from './links';
import { namedNetnsFile, namedNetnsFiles, Netns } from './netns';
import { askOne, attributesOf, message, numberAttribute, openRtnetlink } from './rtnetlink';

// Finds the other end of a veth: in the namespace that a link's network namespace id stands for.

const RTM_GETLINK = 18;
const RTM_GETNSID = 90;
/** struct ifinfomsg, and struct rtgenmsg with its padding. */
const IFINFO_BYTES = 16;
const RTGEN_BYTES = 4;
const IFLA_LINK_NETNSID = 37;
const NETNSA = { NSID: 1, FD: 3 };

function asked<T>(ask: (socket: number) => T): T {
  const socket = openRtnetlink();
  try {
    return ask(socket);
  } finally {
    fs.closeSync(socket);
  }
}

/** The id that the calling thread's namespace has for that of a link's other end; null if that is in the same. */
const idOfOtherEnd = (ifindex: number): number | null =>
  asked((socket) => attributesOf(askOne(socket, RTM_GETLINK, ifinfo({ ifindex })), IFINFO_BYTES).get(IFLA_LINK_NETNSID)?.getInt32(0, true) ?? null);

/** The id that the calling thread's namespace has for another; -1 if it has none. */
const idOf = ({ fd }: Netns): number =>
  asked((socket) => attributesOf(askOne(socket, RTM_GETNSID, message(new Uint8Array(RTGEN_BYTES), numberAttribute(NETNSA.FD, fd))), RTGEN_BYTES).get(NETNSA.NSID)?.getInt32(0, true) ?? -1);

/** The other end of a veth `end` in `home`, and its namespace, which the caller closes; null if none of the files is of that namespace. */
export function otherEnd(home: Netns, end: Link, files: Iterable<string>): { netns: Netns; link: Link } | null {
  const { ifindex, peerIfindex } = end;
  const id = home.run(() => idOfOtherEnd(ifindex));
  if (peerIfindex === null || id === null) return null;
  const seen = new Set<number>();
  for (const file of files) {
    const netns = openUnseen(file, seen);
    if (!netns) continue;
    const link = netns.run(() => linkByIndex(peerIfindex));
    if (link?.kind === 'veth' && link.peerIfindex === ifindex && home.run(() => idOf(netns)) === id) return { netns, link };
    netns.close();
  }
  return null;
}

function openUnseen(file: string, seen: Set<number>): Netns | null {
  try {
    const { ino } = fs.statSync(file);
    if (seen.has(ino)) return null;
    seen.add(ino);
    return Netns.at(file);
  } catch {
    return null; // gone meanwhile
  }
}

let cachedBoot: string | null | undefined;

/** The id of this boot; null where /proc does not tell. */
function bootId(): string | null {
  if (cachedBoot !== undefined) return cachedBoot;
  try {
    cachedBoot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    cachedBoot = null;
  }
  return cachedBoot;
}

/** The record of a namespace, with the name that the user gave it. */
export const recordNetns = (netns: Netns, name: string | null): NetnsRecord => ({ name, inode: netns.inode, cookie: netns.cookie(), boot: bootId() });

/** Whether the record can be of a namespace of this boot. */
const isOfThisBoot = ({ boot }: NetnsRecord): boolean => boot === null || bootId() === null || boot === bootId();

/** Whether a namespace is the one of the record. Without a cookie in the record the inode decides. */
export function isNetns(netns: Netns, record: NetnsRecord): boolean {
  if (netns.inode !== record.inode || !isOfThisBoot(record)) return false;
  return record.cookie === null || netns.cookie() === record.cookie;
}

/** The namespace of that file, if it is the one of the record. The caller closes it. */
function openIf(file: string, record: NetnsRecord): Netns | null {
  try {
    if (fs.statSync(file).ino !== record.inode) return null;
    const netns = Netns.at(file);
    if (isNetns(netns, record)) return netns;
    netns.close();
  } catch {
    // gone meanwhile, or not ours to look at
  }
  return null;
}

/** The files of the namespaces of all processes, and of those that are mounted. The first that are likely; read one after the other. */
export function* netnsFiles(pid: number | null = null): Generator<string> {
  yield* namedNetnsFiles();
  if (pid !== null) yield hostPath(`/proc/${pid}/ns/net`);
  yield '/proc/1/ns/net';
  yield* mounted();
  for (const name of list('/proc')) if (/^\d+$/.test(name)) yield `/proc/${name}/ns/net`;
}

/** Such as those of a container's runtime: `net:[4026532281]` is the root of their mount. */
function* mounted(): Generator<string> {
  let lines: string[] = [];
  try {
    lines = fs.readFileSync('/proc/1/mountinfo', 'utf8').split('\n');
  } catch {
    // without /proc nothing is found
  }
  for (const line of lines) {
    const [, , , root = '', where = ''] = line.split(' ');
    if (root.startsWith('net:[')) yield hostPath(where.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
  }
}

function list(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** The namespace of a record, wherever a name, a mount or a process has it; null if it is gone. `pid` is where to look early. */
export function openNetns(record: NetnsRecord, pid: number | null = null): Netns | null {
  if (!isOfThisBoot(record)) return null;
  const own = Netns.current();
  if (isNetns(own, record)) return own;
  own.close();
  for (const file of netnsFiles(pid)) {
    const netns = openIf(file, record);
    if (netns) return netns;
  }
  return null;
}

function isAt(file: string, record: NetnsRecord): boolean {
  using netns = openIf(file, record);
  return netns !== null;
}

/** The name that `ip netns` has for the namespace of a record now, or null. */
export function netnsName(record: NetnsRecord): string | null {
  if (record.name !== null && isAt(namedNetnsFile(record.name), record)) return record.name;
  const file = namedNetnsFiles().find((each) => isAt(each, record));
  return file === undefined ? null : path.basename(file);
}

/** How a namespace is shown. */
export interface ShownNetns {
  /** Its name now, or else the one that it had at attach unless another namespace has that now. */
  name: string | null;
  /** Neither a name, nor a mount, nor a process has it any more. */
  gone: boolean;
}

export function shownNetns(record: NetnsRecord, pid: number): ShownNetns {
  const name = netnsName(record);
  if (name !== null) return { name, gone: false };
  using open = openNetns(record, pid);
  const isAnothers = open !== null && record.name !== null && fs.existsSync(namedNetnsFile(record.name));
  return { name: isAnothers ? null : record.name, gone: open === null };
}

/** For people: `lab`, or `lab (gone)`. */
export const netnsText = ({ name, gone }: ShownNetns): string | null => (gone ? `${name ?? 'unnamed'} (gone)` : name);

// The user's namespace of an attachment.

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
