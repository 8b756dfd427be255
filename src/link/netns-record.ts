// SPDX-License-Identifier: MIT
/**
 * Finds the namespace that a record tells of. It is known by its cookie and the boot: the kernel gives the inode of a
 * namespace that is gone to the next one, and the number of a process to another.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { hostPath } from '../state/paths';
import type { NetnsRecord } from '../state/record';
import { namedNetnsFile, namedNetnsFiles, Netns } from './netns';

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
