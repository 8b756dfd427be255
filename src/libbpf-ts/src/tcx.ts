// SPDX-License-Identifier: MIT
/** TC programs: attached by a TCX link where the kernel supports it (Linux 6.6), else through clsact. */
import { existsSync } from 'node:fs';

import { type Anchor, anchored, isAnchored } from './anchor';
import { ifindexOf, integer, MAX_INT, oneOf } from './border';
import { createLink } from './bpf-call';
import { attachClsact, ClsactLink } from './clsact';
import { check, Errno, NotSupportedError, systemError, UsageError } from './errors';
import { openPinnedFd, OwnedFd, pinFd, unpin } from './fd';
import type { TcLink, TcLinkState, TcTarget, TcxState } from './link';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { AttachType, LinkType } from './uapi';

let known: boolean | undefined;

/**
 * Whether the kernel has TCX (Linux 6.6); undefined if unknown, for example because a privilege is missing.
 *
 * Queries a device that cannot exist: with TCX that gives ENODEV; without it the attach type gives EINVAL
 * (kernel/bpf/syscall.c, bpf_prog_query).
 */
export function probeTcx(): boolean | undefined {
  if (known !== undefined) return known;
  const count = new Uint32Array([0]);
  const error = -libbpf.bpf_prog_query(0x7fffffff, AttachType.TCX_INGRESS, 0, null, null, count);
  if (error === Errno.ENODEV) known = true;
  else if (error === Errno.EINVAL) known = false;
  return known;
}

const needed = ['CAP_BPF', 'CAP_NET_ADMIN'] as const;

interface TcxInfo {
  readonly type: number;
  readonly id: number;
  readonly progId: number;
  /** 0 once the device is gone. */
  readonly ifindex: number;
  readonly attachType: number;
}

/** Reads `struct bpf_link_info`, whose tcx part exists since Linux 6.6. */
function readInfo(fd: number): TcxInfo {
  const info = new CStruct(64);
  const error = libbpf.bpf_obj_get_info_by_fd(fd, info.bytes, new Uint32Array([64]));
  check(error, 'bpf(BPF_OBJ_GET_INFO_BY_FD)', ['CAP_BPF']);
  return { type: info.u32(0), id: info.u32(4), progId: info.u32(8), ifindex: info.u32(16), attachType: info.u32(20) };
}

/** A TCX link: the attachment lasts as long as a descriptor or a pin of it (Linux 6.6). */
class TcxLink implements TcLink {
  readonly kind = 'tcx';
  readonly id: number;
  readonly target: TcTarget;
  readonly progId: number;
  readonly #fd: OwnedFd;
  #pinPath: string | undefined;

  constructor(fd: OwnedFd, pinPath?: string) {
    this.#fd = fd;
    this.#pinPath = pinPath;
    const info = readInfo(fd.value);
    if (info.type !== LinkType.TCX) throw new UsageError(`link ${pinPath ?? info.id}`, 'is not a tcx link');
    this.id = info.id;
    this.progId = info.progId;
    const direction = info.attachType === AttachType.TCX_INGRESS ? 'ingress' : 'egress';
    this.target = { ifindex: info.ifindex, direction };
  }

  get pinPath(): string | undefined {
    return this.#pinPath;
  }

  pin(path: string): void {
    if (this.#pinPath !== undefined && existsSync(this.#pinPath))
      throw new UsageError('pin TC link', `is pinned already, at ${this.#pinPath}`);
    pinFd(this.#fd.value, path);
    this.#pinPath = path;
  }

  isAttached(): boolean {
    return !this.#fd.closed && readInfo(this.#fd.value).ifindex !== 0;
  }

  detach(): void {
    if (this.#fd.closed) return;
    // ENOLINK: detached before, or the device is gone (kernel/bpf/tcx.c, tcx_link_detach via tcx_link_release).
    const error = -libbpf.bpf_link_detach(this.#fd.value);
    if (error !== 0 && error !== Errno.ENOLINK && error !== Errno.ENODEV) {
      throw systemError('bpf(BPF_LINK_DETACH)', error, needed);
    }
    if (this.#pinPath !== undefined) unpin(this.#pinPath);
    this.#pinPath = undefined;
    this.#fd.close();
  }

  toJSON(): TcxState {
    const state: TcxState = { kind: this.kind, ...this.target, progId: this.progId, linkId: this.id };
    return this.#pinPath === undefined ? state : { ...state, pinPath: this.#pinPath };
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Attaches through TCX, after the programs that are already attached unless the target says where.
 *
 * @returns undefined if the kernel has no TCX
 */
export function attachTcx(program: BpfProgram, target: TcTarget & Anchor): TcLink | undefined {
  const fd = createLink({
    programFd: program.fd,
    target: target.ifindex,
    attachType: target.direction === 'ingress' ? AttachType.TCX_INGRESS : AttachType.TCX_EGRESS,
    ...anchored(`attach ${program.name}`, target),
  });
  if (fd >= 0) return wrap(new OwnedFd(fd, 'tcx link'));
  // EINVAL has many reasons; only a kernel without TCX is not an error.
  if (-fd === Errno.EINVAL && probeTcx() === false) return undefined;
  throw systemError(`attach ${program.name} to ${target.direction} of device ${target.ifindex} (tcx)`, fd, needed);
}

/** Opens a TCX link pinned at `path`. Its detach() also removes the pin. Throws BpfError, for example ENOENT. */
export function openTcLink(path: string): TcLink {
  return wrap(openPinnedFd(path, 'link'), path);
}

function wrap(fd: OwnedFd, pinPath?: string): TcLink {
  try {
    return new TcxLink(fd, pinPath);
  } catch (error) {
    fd.close();
    throw error;
  }
}

export interface TcAttachTarget extends TcTarget, Anchor {
  /** What to try first; defaults to `tcx`. `clsact` is available everywhere, so choosing it excludes TCX. */
  readonly prefer?: 'tcx' | 'clsact';
}

/**
 * Attaches a TC program (SCHED_CLS) to a network device of the calling thread's network namespace.
 *
 * Uses TCX from Linux 6.6 on, and before that the clsact qdisc with a direct-action cls_bpf filter. Falls back only if
 * the kernel has no TCX, not after any other error. A place among others (`before`, `first` and so on) needs TCX.
 *
 * @throws BpfError: ENODEV if there is no such device, `BPF_PERMISSION` with the name of a missing capability
 */
export function attachTc(program: BpfProgram, target: TcAttachTarget): TcLink {
  const operation = `attach ${program.name}`;
  ifindexOf(operation, target.ifindex);
  oneOf(operation, 'direction', target.direction, ['ingress', 'egress']);
  oneOf(operation, 'prefer', target.prefer ?? 'tcx', ['tcx', 'clsact']);
  if (target.prefer !== 'clsact') {
    const link = attachTcx(program, target);
    if (link) return link;
  }
  if (isAnchored(target)) throw new NotSupportedError('the order of TC programs', '6.6', { operation });
  return attachClsact(program, target);
}

/**
 * The attachment that {@link TcLink.toJSON} described, perhaps in another process; closing it leaves it attached.
 *
 * For clsact the calling thread must be in the network namespace of the device. Whether the attachment still exists is
 * checked only when it is detached, which tolerates its absence.
 *
 * @throws BpfError, for example ENOENT if the pin of a TCX link is gone; `BPF_USAGE` for a TCX link without a pin
 */
export function restoreTcLink(state: TcLinkState): TcLink {
  // 0 for a device that was gone already.
  integer('restore TC link', 'ifindex', state.ifindex, 0, MAX_INT);
  oneOf('restore TC link', 'direction', state.direction, ['ingress', 'egress']);
  if (state.kind === 'clsact') return new ClsactLink(state);
  if (state.kind === 'tcx' && state.pinPath !== undefined) return openTcLink(state.pinPath);
  throw new UsageError('restore TC link', 'a tcx link can only be restored from its pin');
}
