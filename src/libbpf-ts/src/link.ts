// SPDX-License-Identifier: MIT
import { attachClsact, ClsactLink } from './clsact';
import { UsageError } from './errors';
import type { BpfProgram } from './program';
import { attachTcx, openTcLink } from './tcx';
import type { TcLink, TcLinkState, TcTarget } from './tc-link';

export interface TcAttachTarget extends TcTarget {
  /** What to try first; `tcx` unless given. `clsact` is available everywhere, so it is then also the only choice. */
  readonly prefer?: 'tcx' | 'clsact';
}

/**
 * Attaches a TC program (SCHED_CLS) to a network device of the calling thread's network namespace.
 *
 * TCX is used from Linux 6.6 on, the clsact qdisc with a direct-action cls_bpf filter before. It falls back only when
 * the kernel has no TCX, not on any other error.
 *
 * @throws BpfError: ENODEV for no such device, `BPF_PERMISSION` with the capability that is missing
 */
export function attachTc(program: BpfProgram, target: TcAttachTarget): TcLink {
  if (target.prefer !== 'clsact') {
    const link = attachTcx(program, target);
    if (link) return link;
  }
  return attachClsact(program, target);
}

/**
 * The attachment that {@link TcLink.toJSON} described, perhaps in another process; closing it leaves it attached.
 *
 * For clsact the calling thread must be in the network namespace of the device. Whether the attachment still exists
 * shows only when it is detached, which tolerates its absence.
 *
 * @throws BpfError, for example ENOENT if the pin of a TCX link is gone; `BPF_USAGE` for a TCX link without a pin
 */
export function restoreTcLink(state: TcLinkState): TcLink {
  if (state.kind === 'clsact') return new ClsactLink(state);
  if (state.kind === 'tcx' && state.pinPath !== undefined) return openTcLink(state.pinPath);
  throw new UsageError('restore TC link', 'a tcx link can only be restored from its pin');
}
