// SPDX-License-Identifier: MIT
/** Programs that decide over packets and sockets elsewhere than on a device: of a namespace, a socket, netfilter. */

import { descriptor, ifindexOf, integer, oneOf, text } from './border';
import { type Anchor, anchored } from './anchor';
import { systemError } from './errors';
import { withOpen } from './fd';
import { attachByRequest, attachLink, attachOperation, type LinkKind } from './attach-link';
import type { Link } from './link';
import { lastErrno, libc } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { AttachType } from './uapi';

const network = (feature: string, minimumKernel: string): LinkKind => ({
  feature,
  minimumKernel,
  capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'],
});

export interface NetnsTarget {
  /** A file of the namespace, such as `/run/netns/NAME`; that of the calling thread unless given. */
  readonly path?: string;
}

/**
 * Attaches a program to a network namespace: `sk_lookup`, which chooses the socket for a new connection or datagram
 * (Linux 5.9), or `flow_dissector`, which reads the flow from a packet (Linux 5.7).
 *
 * @throws BpfError: ENOENT if there is no such file, EINVAL if it is not a network namespace, EEXIST or E2BIG if another
 *   program is in the way
 */
export function attachNetns(program: BpfProgram, { path }: NetnsTarget = {}): Link {
  const file = path === undefined ? '/proc/thread-self/ns/net' : text('attach netns', 'path', path);
  const kind = network('programs of network namespaces', '5.9');
  return withOpen(file, (fd) =>
    attachLink(program, `to network namespace ${file}`, kind, (it) => libbpf.bpf_program__attach_netns(it, fd)),
  );
}

const SOL_SOCKET = 1;
const SO_DETACH_FILTER = 27;
const SO_ATTACH_BPF = 50;

/** The program of a socket. It ends with the socket, and with close(). */
export class SocketFilter implements Disposable {
  #fd: number | undefined;

  /** @internal */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Takes the program away. The socket must still be open: the descriptor is the caller's. */
  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, new Uint32Array([0]), 4);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Puts a program (`SEC("socket")`) before a socket: it returns how many bytes of each packet the socket receives, 0 for
 * none of it (Linux 3.19). It takes the place of the one before.
 *
 * @param fd the socket's descriptor, which stays the caller's
 * @throws BpfError: EBADF or ENOTSOCK if it is not a socket, EINVAL for another kind of program
 */
export function attachSocketFilter(program: BpfProgram, fd: number): SocketFilter {
  const operation = attachOperation(program, `to socket ${descriptor('attach socket filter', fd)}`);
  const value = new Int32Array([program.fd]);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, value, 4) < 0) throw systemError(operation, lastErrno());
  return new SocketFilter(fd);
}

/** NFPROTO_IPV4 and NFPROTO_IPV6 (include/uapi/linux/netfilter.h). */
const FAMILIES = { ipv4: 2, ipv6: 10 } as const;
/** `enum nf_inet_hooks` */
const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
/** BPF_F_NETFILTER_IP_DEFRAG */
const DEFRAGMENT = 1;

export interface NetfilterTarget {
  readonly family: keyof typeof FAMILIES;
  readonly hook: keyof typeof HOOKS;
  /** Lower ones come first; no two programs of a hook have the same. */
  readonly priority: number;
  /** Whether fragments are put together before (Linux 6.6). */
  readonly defragment?: boolean;
}

/**
 * Attaches a program (`SEC("netfilter")`) to netfilter in the network namespace of the calling thread (Linux 6.4).
 *
 * @throws BpfError: EBUSY if another has the priority; NotSupportedError
 */
export function attachNetfilter(program: BpfProgram, target: NetfilterTarget): Link {
  const operation = 'attach netfilter';
  const family = FAMILIES[oneOf(operation, 'family', target.family, names(FAMILIES))];
  const hook = HOOKS[oneOf(operation, 'hook', target.hook, names(HOOKS))];
  const priority = integer(operation, 'priority', target.priority, -0x8000_0000, 0x7fff_ffff);
  const where = `to ${target.hook} of netfilter, ${target.family}`;
  return attachByRequest(program, where, network('netfilter programs', '6.4'), {
    target: 0,
    attachType: AttachType.NETFILTER,
    details: (attributes, at) =>
      attributes
        .setU32(at, family)
        .setU32(at + 4, hook)
        .setU32(at + 8, priority >>> 0)
        .setU32(at + 12, target.defragment ? DEFRAGMENT : 0),
  });
}

export interface NetkitTarget extends Anchor {
  /** Index of the netkit's primary device in the calling thread's network namespace. */
  readonly ifindex: number;
  /** What the primary device sends, or what its peer sends. */
  readonly side: 'primary' | 'peer';
}

/** Attaches a program (`SEC("netkit/primary")` or `/peer`) to a pair of netkit devices (Linux 6.7). */
export function attachNetkit(program: BpfProgram, target: NetkitTarget): Link {
  const operation = 'attach netkit';
  const ifindex = ifindexOf(operation, target.ifindex);
  const side = oneOf(operation, 'side', target.side, ['primary', 'peer']);
  return attachByRequest(program, `to ${side} of netkit ${ifindex}`, network('netkit devices', '6.7'), {
    target: ifindex,
    attachType: side === 'primary' ? AttachType.NETKIT_PRIMARY : AttachType.NETKIT_PEER,
    ...anchored(operation, target),
  });
}

const names = <Table extends object>(table: Table): (keyof Table & string)[] =>
  Object.keys(table) as (keyof Table & string)[];
