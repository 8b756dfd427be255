// SPDX-License-Identifier: MIT
/** Finds the other end of a veth: in the namespace that a link's network namespace id stands for. */
import * as fs from 'node:fs';

import { message, numberAttribute } from './message';
import { askOne, attributesOf, openRtnetlink } from './rtnetlink';
import { ifinfo, linkByIndex, type Link } from './links';
import { Netns } from './netns';

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
