// SPDX-License-Identifier: MIT
/**
 * Finds the namespace that a record describes, and the one in which the other end of a veth is. A namespace is
 * identified by its cookie and the boot: the kernel gives the inode of a namespace that is gone to a new one, and a pid
 * to another process.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { hostPath } from '../state/paths';
import type { NetnsRecord } from '../state/record';
import { allAttachments, type Attachment, isControlled } from '../state/store';
import { ifinfo, type Link, linkByIndex } from './links';
import { namedNetnsFile, namedNetnsFiles, Netns } from './netns';
import { askOne, attributesOf, message, numberAttribute, openRtnetlink } from './rtnetlink';

// The other end of a veth: it is in the namespace that the link's network namespace id stands for.

const RTM_GETLINK = 18;
const RTM_GETNSID = 90;
/** Sizes of struct ifinfomsg, and of struct rtgenmsg with its padding. */
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

/** The id that the calling thread's namespace has for that of a link's other end; null if both ends are in the same. */
const idOfOtherEnd = (ifindex: number): number | null =>
  asked(
    (socket) =>
      attributesOf(askOne(socket, RTM_GETLINK, ifinfo({ ifindex })), IFINFO_BYTES)
        .get(IFLA_LINK_NETNSID)
        ?.getInt32(0, true) ?? null,
  );

/** The id that the calling thread's namespace has for another namespace; -1 if it has none. */
const idOf = ({ fd }: Netns): number =>
  asked(
    (socket) =>
      attributesOf(
        askOne(socket, RTM_GETNSID, message(new Uint8Array(RTGEN_BYTES), numberAttribute(NETNSA.FD, fd))),
        RTGEN_BYTES,
      )
        .get(NETNSA.NSID)
        ?.getInt32(0, true) ?? -1,
  );

/**
 * The other end of a veth `end` in `home`, and its namespace, which the caller closes. `files` are namespaces to look
 * in; null if it is in none of them.
 */
export function otherEnd(home: Netns, end: Link, files: Iterable<string>): { netns: Netns; link: Link } | null {
  const { ifindex, peerIfindex } = end;
  const id = home.run(() => idOfOtherEnd(ifindex));
  if (peerIfindex === null || id === null) return null;
  const seen = new Set<number>();
  for (const file of files) {
    const netns = openUnseen(file, seen);
    if (!netns) continue;
    const link = netns.run(() => linkByIndex(peerIfindex));
    if (link?.kind === 'veth' && link.peerIfindex === ifindex && home.run(() => idOf(netns)) === id)
      return { netns, link };
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

/** The id of this boot; null if /proc does not have it. */
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
export const recordNetns = (netns: Netns, name: string | null): NetnsRecord => ({
  name,
  inode: netns.inode,
  cookie: netns.cookie(),
  boot: bootId(),
});

/** Whether the record can describe a namespace of this boot. */
const isOfThisBoot = ({ boot }: NetnsRecord): boolean => boot === null || bootId() === null || boot === bootId();

/** Whether a record describes this namespace. Without a cookie in the record the inode decides. */
export function isNetns(netns: Netns, record: NetnsRecord): boolean {
  if (netns.inode !== record.inode || !isOfThisBoot(record)) return false;
  return record.cookie === null || netns.cookie() === record.cookie;
}

/** Opens the namespace of a file if the record describes it; otherwise null. The caller closes it. */
function openIf(file: string, record: NetnsRecord): Netns | null {
  try {
    if (fs.statSync(file).ino !== record.inode) return null;
    const netns = Netns.at(file);
    if (isNetns(netns, record)) return netns;
    netns.close();
  } catch {
    // gone meanwhile, or not accessible
  }
  return null;
}

/**
 * The files of all namespaces that have a name, are mounted, or have a process: likely ones first. They are found one
 * after the other, as the caller asks for them.
 */
export function* netnsFiles(pid: number | null = null): Generator<string> {
  yield* namedNetnsFiles();
  if (pid !== null) yield hostPath(`/proc/${pid}/ns/net`);
  yield '/proc/1/ns/net';
  yield* mounted();
  for (const process of processes()) yield `${process}/ns/net`;
}

/** The directories of all processes. */
const processes = (): string[] =>
  list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => `/proc/${name}`);

/**
 * The files of a namespace. Between two processes of a container, nothing but a descriptor of its runtime may hold it:
 * descriptors come last, because there are many.
 */
function* filesOf({ inode }: NetnsRecord, pid: number | null): Generator<string> {
  yield* netnsFiles(pid);
  for (const process of processes())
    for (const fd of list(`${process}/fd`))
      if (mayBeDescriptorOf(`${process}/fd/${fd}`, inode)) yield `${process}/fd/${fd}`;
}

/** Whether a descriptor is of that namespace, or of the file of some mount that has been removed, such as a name. */
function mayBeDescriptorOf(file: string, inode: number): boolean {
  try {
    return ['/', `net:[${inode}]`].includes(fs.readlinkSync(file));
  } catch {
    return false; // closed meanwhile
  }
}

/**
 * The files of mounted namespaces, such as those of a container runtime. The root of their mount is like
 * `net:[4026532281]`.
 */
function* mounted(): Generator<string> {
  let lines: string[] = [];
  try {
    lines = fs.readFileSync('/proc/1/mountinfo', 'utf8').split('\n');
  } catch {
    // without /proc nothing is found
  }
  for (const line of lines) {
    const [, , , root = '', where = ''] = line.split(' ');
    if (root.startsWith('net:['))
      yield hostPath(where.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
  }
}

function list(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** Where each namespace was last found, by inode: a controller asks again and again, and there may be many processes. */
const foundAt = new Map<number, string>();

/**
 * Opens the namespace that a record describes, found by a name, a mount, a process or a descriptor; null if it is gone.
 * `pid` is a process to try early. The caller closes it.
 */
export function openNetns(record: NetnsRecord, pid: number | null = null): Netns | null {
  if (!isOfThisBoot(record)) return null;
  const own = Netns.current();
  if (isNetns(own, record)) return own;
  own.close();
  const before = foundAt.get(record.inode);
  const again = before === undefined ? null : openIf(before, record);
  if (again) return again;
  for (const file of filesOf(record, pid)) {
    const netns = openIf(file, record);
    if (netns) {
      foundAt.set(record.inode, file);
      return netns;
    }
  }
  return null;
}

function isAt(file: string, record: NetnsRecord): boolean {
  using netns = openIf(file, record);
  return netns !== null;
}

/** A file of the namespace that a record describes; null if it is gone. `pid` is a process to try early. */
export function netnsFile(record: NetnsRecord, pid: number): string | null {
  for (const file of filesOf(record, pid)) if (isAt(file, record)) return file;
  return null;
}

/** The name that `ip netns` now has for the namespace of a record, or null. */
export function netnsName(record: NetnsRecord): string | null {
  if (record.name !== null && isAt(namedNetnsFile(record.name), record)) return record.name;
  const file = namedNetnsFiles().find((each) => isAt(each, record));
  return file === undefined ? null : path.basename(file);
}

/** How a namespace is shown. */
export interface ShownNetns {
  /** Its current name, or else the one that it had at attach, unless another namespace has that now. */
  name: string | null;
  /** Whether no name, mount, process or descriptor refers to it any more. */
  gone: boolean;
}

export function shownNetns(record: NetnsRecord, pid: number): ShownNetns {
  const name = netnsName(record);
  if (name !== null) return { name, gone: false };
  using open = openNetns(record, pid);
  const isAnothers = open !== null && record.name !== null && fs.existsSync(namedNetnsFile(record.name));
  return { name: isAnothers ? null : record.name, gone: open === null };
}

/** The namespace in words: `lab`, or `lab (gone)`; null if it has no name. */
export const netnsText = ({ name, gone }: ShownNetns): string | null => (gone ? `${name ?? 'unnamed'} (gone)` : name);

// The user's namespace, in which the interface of an attachment is.

/** Whether an attachment is in that namespace. */
export const isIn =
  (netns: Netns) =>
  ({ netns: record }: Attachment): boolean =>
    isNetns(netns, record);

/**
 * Whether a running attachment in a namespace of the same inode has the same interface name or index. Before Linux 5.14
 * namespaces have no cookies, and the record of a crashed attachment may name the inode of a new namespace. What a
 * running attachment has made there must not be touched.
 */
function isClaimed({ id, iface, ifindex, netns }: Attachment): boolean {
  return allAttachments().some(
    (other) =>
      other.id !== id &&
      other.netns.inode === netns.inode &&
      (other.iface === iface || other.ifindex === ifindex) &&
      isControlled(other),
  );
}

/** Opens the namespace of an attachment; null if it is gone. The caller closes it. */
export function openAttachmentNetns(attachment: Attachment): Netns | null {
  const found = openNetns(attachment.netns, attachment.pid);
  if (!found || attachment.netns.cookie !== null || !isClaimed(attachment)) return found;
  found.close();
  return null;
}
