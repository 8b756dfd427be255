// SPDX-License-Identifier: MIT
import { Errno } from './errno';
import { systemError } from './errors';
import { OwnedFd } from './fd';
import { lastErrno, libc } from './native/libc';
import { littleEndian } from './native/layout';
import type { TcDirection } from './tc-link';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const RTM_NEWTFILTER = 44;
const RTM_GETTFILTER = 46;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS / TC_H_MIN_EGRESS) */
const PARENT = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const;

/**
 * How many filters of any kind the clsact qdisc of a device has in a direction; 0 without device or qdisc.
 *
 * It asks the calling thread's network namespace with one RTM_GETTFILTER dump, as `tc filter show` does; libbpf can
 * only ask for a filter whose handle is known.
 */
export function countFilters(ifindex: number, direction: TcDirection): number {
  const socket = libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) throw systemError('socket(AF_NETLINK)', lastErrno());
  using fd = new OwnedFd(socket, 'netlink socket');
  const request = new DataView(new ArrayBuffer(36)); // struct nlmsghdr, struct tcmsg
  request.setUint32(0, 36, littleEndian);
  request.setUint16(4, RTM_GETTFILTER, littleEndian);
  request.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, littleEndian);
  request.setUint32(8, 1, littleEndian);
  request.setInt32(20, ifindex, littleEndian);
  request.setUint32(28, PARENT[direction], littleEndian);
  if (libc.send(fd.value, new Uint8Array(request.buffer), 36, 0) < 0) throw systemError('send(netlink)', lastErrno());

  const reply = new Uint8Array(64 * 1024);
  const view = new DataView(reply.buffer);
  for (let filters = 0; ; ) {
    const length = libc.recv(fd.value, reply, reply.length, 0);
    if (length < 0) {
      const errno = lastErrno();
      if (errno === Errno.EINTR) continue;
      throw systemError('recv(netlink)', errno);
    }
    for (let at = 0; at + 16 <= length; ) {
      const type = view.getUint16(at + 4, littleEndian);
      if (type === NLMSG_DONE) return filters;
      if (type === NLMSG_ERROR) {
        const errno = -view.getInt32(at + 16, littleEndian);
        if (errno === 0 || errno === Errno.ENODEV || errno === Errno.ENOENT || errno === Errno.EINVAL) return filters;
        throw systemError('netlink(RTM_GETTFILTER)', errno, ['CAP_NET_ADMIN']);
      }
      if (type === RTM_NEWTFILTER) filters++;
      at += Math.max(16, (view.getUint32(at, littleEndian) + 3) & ~3);
    }
  }
}
