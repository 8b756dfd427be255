// SPDX-License-Identifier: MIT
import { rmSync } from 'node:fs';
import { countFilters } from './clsact-filters';
import { Errno } from './errno';
import { check, systemError, UsageError } from './errors';
import { CStruct } from './native/layout';
import { libbpf } from './native/libbpf';
import { pinFd } from './pinning';
import type { BpfProgram } from './program';
import type { ClsactState, TcDirection, TcLink, TcTarget } from './tc-link';

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

/** A filter, a qdisc or a device that is not there (any more); EINVAL: "Parent Qdisc doesn't exists". */
function isGone(error: number): boolean {
  return error === Errno.ENOENT || error === Errno.ENODEV || error === Errno.EINVAL;
}

/** Attachments of this process whose qdisc it created: later ones to the same device share the duty to remove it. */
const creators = new Set<ClsactLink>();

/** A cls_bpf filter in direct-action mode on the clsact qdisc (Linux 4.5), which outlives the process. */
export class ClsactLink implements TcLink {
  readonly kind = 'clsact';
  readonly #state: ClsactState;
  readonly #program: BpfProgram | undefined;
  #pinPath: string | undefined;
  #detached = false;

  /** @param program the attached program, borrowed for pin(); without it the link is a restored one */
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
    if (this.#pinPath !== undefined) rmSync(this.#pinPath, { force: true });
    this.#pinPath = undefined;
    this.#detached = true;
    creators.delete(this);
  }

  /** Whether the filter is still there; handle and priority may have been taken by somebody else's program since. */
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

/** Attaches through clsact, creating the qdisc if need be; the kernel chooses handle and priority. */
export function attachClsact(program: BpfProgram, target: TcTarget): TcLink {
  const { ifindex, direction } = target;
  const what = `attach ${program.name} to ${direction} of device ${ifindex} (clsact)`;
  const created = libbpf.bpf_tc_hook_create(hookOf(ifindex, pointOf(direction)).bytes);
  if (created !== -Errno.EEXIST) check(created, `${what}: create qdisc`, ['CAP_NET_ADMIN']);
  // A filter of ours that is still there proves that the qdisc is still the one that we created.
  const createdQdisc =
    created === 0 || [...creators].some((link) => link.target.ifindex === ifindex && link.isAttached());
  const filter = filterOf(0, 0).setU32(8, program.fd);
  const error = libbpf.bpf_tc_attach(hookOf(ifindex, pointOf(direction)).bytes, filter.bytes);
  if (error < 0) {
    if (createdQdisc) removeEmptyQdisc(ifindex);
    throw systemError(what, error, ['CAP_NET_ADMIN', 'CAP_BPF']);
  }
  const [handle, priority] = [filter.u32(20), filter.u32(24)];
  const state: ClsactState = { kind: 'clsact', ifindex, direction, handle, priority, progId: program.id, createdQdisc };
  return new ClsactLink(state, program);
}

/** Removes the clsact qdisc of a device unless a filter is on it, in either direction. */
function removeEmptyQdisc(ifindex: number): void {
  if (countFilters(ifindex, 'ingress') > 0 || countFilters(ifindex, 'egress') > 0) return;
  const error = -libbpf.bpf_tc_hook_destroy(hookOf(ifindex, BPF_TC_INGRESS | BPF_TC_EGRESS).bytes);
  if (error !== 0 && !isGone(error)) throw systemError('remove clsact qdisc', error, ['CAP_NET_ADMIN']);
}
