// SPDX-License-Identifier: MIT
/**
 * Notifies its caller when links, addresses or routing rules change. The netlink message is only a trigger: the caller
 * then asks what the state is (links.ts, addresses.ts). The socket is in the peer namespace and listens to all
 * namespaces that this one knows by an id (NETLINK_LISTEN_ALL_NSID, Linux 4.2): a socket in the user's namespace would
 * keep that alive after `ip netns del`.
 */
import * as fs from 'node:fs';

import { bindSocket, receiveBytes, setSocketOption, SystemError, watchReadable } from '../native/libc';
import type { Netns } from './netns';
import { AF_NETLINK, openRtnetlink } from './rtnetlink';

const SOL_NETLINK = 270;
const NETLINK_LISTEN_ALL_NSID = 8;
const RTMGRP_LINK = 0x1;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV4_RULE = 0x80;
/** RTNLGRP_IPV6_RULE is the 19th group. */
const RTMGRP_IPV6_RULE = 1 << 18;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;

const TYPE_AT = 4;
/**
 * Size of struct nlmsghdr. struct ifinfomsg and struct ifaddrmsg, which follow it, have the ifindex in the same place.
 */
const HEADER_BYTES = 16;
const IFINDEX_AT = HEADER_BYTES + 4;
const ENOBUFS = 105;
const EAGAIN = 11;
const EINTR = 4;

/**
 * Changes come in bursts: `onChange` is called at the first, and, after this time in milliseconds, once for all others.
 */
const SETTLE_MS = 20;

/**
 * Reads the messages that have arrived. True if any of them is about a link with one of these indexes, in any
 * namespace, or about rules. Other links of the machine may come and go by the hundred; they are no reason to look.
 */
function concerns(fd: number, indexes: readonly number[], buffer: Uint8Array): boolean {
  const view = new DataView(buffer.buffer);
  let found = false;
  for (;;) {
    const received = receiveBytes(fd, buffer);
    if (received === -ENOBUFS)
      found = true; // some messages were lost, and may have been about ours
    else if (received === -EAGAIN || received === -EINTR) return found;
    else if (received <= 0) throw new SystemError('recv', -received);
    for (let at = 0; at + HEADER_BYTES + 8 <= received;) {
      const type = view.getUint16(at + TYPE_AT, true);
      if (type === RTM_NEWRULE || type === RTM_DELRULE || indexes.includes(view.getUint32(at + IFINDEX_AT, true)))
        found = true;
      at += Math.max(HEADER_BYTES, (view.getUint32(at, true) + 3) & ~3);
    }
  }
}

/**
 * Calls `onChange` after a link with one of these indexes, its addresses, or a rule has changed, until closed. If the
 * socket fails it calls `onFailed` instead, and the caller closes the watch.
 */
export function watchLinks(
  peerNetns: Netns,
  indexes: readonly number[],
  onChange: () => void,
  onFailed: () => void,
): Disposable & { close(): void } {
  const fd = peerNetns.run(() => {
    const socket = openRtnetlink();
    try {
      setSocketOption(socket, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
      const address = new DataView(new ArrayBuffer(12));
      address.setUint16(0, AF_NETLINK, true);
      address.setUint32(
        8,
        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_RULE | RTMGRP_IPV6_RULE,
        true,
      );
      bindSocket(socket, new Uint8Array(address.buffer));
      return socket;
    } catch (error) {
      fs.closeSync(socket);
      throw error;
    }
  });
  let settling: NodeJS.Timeout | undefined;
  let more = false;
  const settled = (): void => {
    settling = undefined;
    if (more) changed();
  };
  const changed = (): void => {
    more = settling !== undefined;
    if (more) return;
    settling = setTimeout(settled, SETTLE_MS);
    onChange();
  };
  const buffer = new Uint8Array(32768);
  const watch = watchReadable(fd, () => {
    try {
      if (!concerns(fd, indexes, buffer)) return;
    } catch {
      return onFailed();
    }
    changed();
  });
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    clearTimeout(settling);
    watch.close();
    fs.closeSync(fd);
  };
  return { close, [Symbol.dispose]: close };
}
