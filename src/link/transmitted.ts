// SPDX-License-Identifier: MIT
/** Asks the kernel how many frames an interface has transmitted: one netlink message, no process. */
import * as fs from 'node:fs';

import { openSocket, receiveBytes, sendBytes } from '../native/libc';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const HEADERS = 16 + 16; // struct nlmsghdr, struct ifinfomsg
const IFLA_STATS64 = 23;
/** tx_packets in struct rtnl_link_stats64. */
const TX_PACKETS = 8;

/** A socket for transmittedFrames(), of the calling thread's namespace; the caller closes it. */
export const openLinkSocket = (): number => openSocket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

/** Frames that the interface has ever transmitted, or null if there is none of that index. */
export function transmittedFrames(socket: number, ifindex: number): number | null {
  const request = new DataView(new ArrayBuffer(HEADERS));
  request.setUint32(0, HEADERS, true);
  request.setUint16(4, RTM_GETLINK, true);
  request.setUint16(6, NLM_F_REQUEST, true);
  request.setInt32(20, ifindex, true);
  const reply = new Uint8Array(16384);
  if (sendBytes(socket, new Uint8Array(request.buffer)) < 0) return null;
  const received = receiveBytes(socket, reply);
  const view = new DataView(reply.buffer);
  if (received < HEADERS || view.getUint16(4, true) !== RTM_NEWLINK) return null;
  const end = Math.min(received, view.getUint32(0, true));
  for (let at = HEADERS; at + 4 <= end; ) {
    const length = view.getUint16(at, true);
    if (view.getUint16(at + 2, true) === IFLA_STATS64) return Number(view.getBigUint64(at + 4 + TX_PACKETS, true));
    at += Math.max(4, (length + 3) & ~3);
  }
  return null;
}

/** The same, in one go. */
export function transmittedFramesOf(ifindex: number): number | null {
  const socket = openLinkSocket();
  try {
    return transmittedFrames(socket, ifindex);
  } finally {
    fs.closeSync(socket);
  }
}
