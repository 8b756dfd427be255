// SPDX-License-Identifier: MIT

import { check, Errno, systemError, UsageError } from './errors';
import { OwnedFd, pinFd, unpin } from './fd';
import type { ClsactState, TcDirection, TcLink, TcTarget } from './link';
import { CStruct, lastErrno, libc, littleEndian } from './native/ffi';
import { calling, libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

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
 * Number of filters of any kind on a device's clsact qdisc in one direction; 0 without device or qdisc.
 *
 * Asks the calling thread's network namespace with one RTM_GETTFILTER dump, as `tc filter show` does; libbpf can only
 * ask for a filter whose handle is known.
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
  for (let filters = 0; ;) {
    const length = libc.recv(fd.value, reply, reply.length, 0);
    if (length < 0) {
      const errno = lastErrno();
      if (errno === Errno.EINTR) continue;
      throw systemError('recv(netlink)', errno);
    }
    for (let at = 0; at + 16 <= length;) {
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

/** `enum bpf_tc_attach_point` */
const BPF_TC_INGRESS = 1;
const BPF_TC_EGRESS = 2;

/** `struct bpf_tc_hook` */
function hookOf(ifindex: number, attachPoint: number): CStruct {
  return new CStruct(24, true).setU32(8, ifindex).setU32(12, attachPoint);
}

function pointOf(direction: TcDirection): number {
  return direction === 'ingress' ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

/** `struct bpf_tc_opts` */
function filterOf(handle: number, priority: number): CStruct {
  return new CStruct(32, true).setU32(20, handle).setU32(24, priority);
}

/**
 * Whether the error means that a filter, a qdisc or a device does not exist (any more); EINVAL: "Parent Qdisc doesn't
 * exists".
 */
function isGone(error: number): boolean {
  return error === Errno.ENOENT || error === Errno.ENODEV || error === Errno.EINVAL;
}

/** Attachments of this process whose qdisc it created: later ones on the same device share the duty to remove it. */
const creators = new Set<ClsactLink>();

/** A cls_bpf filter in direct-action mode on the clsact qdisc (Linux 4.5). It outlives the process. */
export class ClsactLink implements TcLink {
  readonly kind = 'clsact';
  readonly #state: ClsactState;
  readonly #program: BpfProgram | undefined;
  #pinPath: string | undefined;
  #detached = false;

  /** @param program the attached program, borrowed for pin(); omitted for a restored link */
  constructor(state: ClsactState, program?: BpfProgram) {
    this.#state = state;
    this.#program = program;
    this.#pinPath = state.pinPath;
    if (program && state.createdQdisc) creators.add(this);
  }

  get target(): TcTarget {
    return { ifindex: this.#state.ifindex, direction: this.#state.direction };
  }

  get progId(): number {
    return this.#state.progId;
  }

  get pinPath(): string | undefined {
    return this.#pinPath;
  }

  pin(path: string): void {
    if (this.#pinPath !== undefined) throw new UsageError('pin TC link', `is pinned already, at ${this.#pinPath}`);
    if (!this.#program) throw new UsageError('pin TC link', 'it was restored, which keeps it attached anyway');
    pinFd(this.#program.fd, path);
    this.#pinPath = path;
  }

  detach(): void {
    if (this.#detached) return;
    const { ifindex, direction, handle, priority, createdQdisc } = this.#state;
    if (this.isAttached()) {
      const hook = hookOf(ifindex, pointOf(direction));
      const error = -libbpf.bpf_tc_detach(hook.bytes, filterOf(handle, priority).bytes);
      if (error !== 0 && !isGone(error)) throw systemError('remove TC filter', error, ['CAP_NET_ADMIN']);
      if (createdQdisc) removeEmptyQdisc(ifindex);
    }
    if (this.#pinPath !== undefined) unpin(this.#pinPath);
    this.#pinPath = undefined;
    this.#detached = true;
    creators.delete(this);
  }

  /** Whether the filter still exists: another program may have taken its handle and priority since. */
  isAttached(): boolean {
    const { ifindex, direction, handle, priority, progId } = this.#state;
    const filter = filterOf(handle, priority);
    const error = -libbpf.bpf_tc_query(hookOf(ifindex, pointOf(direction)).bytes, filter.bytes);
    if (error !== 0 && !isGone(error)) throw systemError('query TC filter', error, ['CAP_NET_ADMIN']);
    return error === 0 && filter.u32(16) === progId;
  }

  toJSON(): ClsactState {
    const { pinPath: _, ...state } = this.#state;
    return this.#pinPath === undefined ? state : { ...state, pinPath: this.#pinPath };
  }

  close(): void {
    if (this.#program && this.#pinPath === undefined) this.detach();
    creators.delete(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Attaches through clsact, creating the qdisc if necessary; the kernel chooses handle and priority. */
export function attachClsact(program: BpfProgram, target: TcTarget): TcLink {
  const { ifindex, direction } = target;
  const what = `attach ${program.name} to ${direction} of device ${ifindex} (clsact)`;
  const hook = hookOf(ifindex, pointOf(direction));
  const { result: created, messages } = calling((library) => library.bpf_tc_hook_create(hook.bytes));
  if (created !== -Errno.EEXIST) check(created, `${what}: create qdisc`, ['CAP_NET_ADMIN'], messages);
  // A filter of ours that still exists proves that the qdisc is the one that we created.
  const createdQdisc =
    created === 0 || [...creators].some((link) => link.target.ifindex === ifindex && link.isAttached());
  const filter = filterOf(0, 0).setU32(8, program.fd);
  const attached = calling((library) => library.bpf_tc_attach(hook.bytes, filter.bytes));
  if (attached.result < 0) {
    if (createdQdisc) removeEmptyQdisc(ifindex);
    throw systemError(what, attached.result, ['CAP_NET_ADMIN', 'CAP_BPF'], attached.messages);
  }
  const [handle, priority] = [filter.u32(20), filter.u32(24)];
  const state: ClsactState = { kind: 'clsact', ifindex, direction, handle, priority, progId: program.id, createdQdisc };
  return new ClsactLink(state, program);
}

/** Removes the clsact qdisc of a device unless it has a filter, in either direction. */
function removeEmptyQdisc(ifindex: number): void {
  if (countFilters(ifindex, 'ingress') > 0 || countFilters(ifindex, 'egress') > 0) return;
  const error = -libbpf.bpf_tc_hook_destroy(hookOf(ifindex, BPF_TC_INGRESS | BPF_TC_EGRESS).bytes);
  if (error !== 0 && !isGone(error)) throw systemError('remove clsact qdisc', error, ['CAP_NET_ADMIN']);
}
