// SPDX-License-Identifier: MIT

export type TcDirection = 'ingress' | 'egress';

export interface TcTarget {
  /** Index of the device in the calling thread's network namespace. */
  readonly ifindex: number;
  readonly direction: TcDirection;
}

interface CommonState extends TcTarget {
  /** Id of the attached program. */
  readonly progId: number;
  /** Where the attachment is pinned, if it is. */
  readonly pinPath?: string;
}

/** A TCX attachment as plain data. */
export interface TcxState extends CommonState {
  readonly kind: 'tcx';
  readonly linkId: number;
}

/** A clsact attachment as plain data. */
export interface ClsactState extends CommonState {
  readonly kind: 'clsact';
  readonly handle: number;
  readonly priority: number;
  /** Whether the clsact qdisc was created for this attachment, or an earlier one of the same process. */
  readonly createdQdisc: boolean;
}

/** Plain data from which {@link restoreTcLink} finds the attachment again. */
export type TcLinkState = TcxState | ClsactState;

/**
 * A TC program attached to a network device.
 *
 * close() ends the attachment unless it was pinned; a pinned one outlives the process. For clsact, whose filters live
 * on their own, close() detaches an unpinned one to make both kinds behave alike. Whatever kills the process, an
 * unpinned TCX attachment ends with it, an unpinned clsact one does not: keep toJSON() somewhere to clean up.
 */
export interface TcLink extends Disposable {
  readonly kind: 'tcx' | 'clsact';
  /** The kernel's number of a TCX link; clsact has none. */
  readonly id?: number;
  readonly target: TcTarget;
  /** Id of the attached program. */
  readonly progId: number;
  /** Where the attachment is pinned, if it is. */
  readonly pinPath: string | undefined;
  /**
   * Makes the attachment outlive this object: pins the link (TCX), or the program as a mark of it (clsact), on a bpffs.
   * One pin at most; one that somebody has removed can be made again.
   */
  pin(path: string): void;
  /** Whether it is still attached: others may detach it, and it ends with its device. */
  isAttached(): boolean;
  /**
   * Removes this attachment, its pin, and a qdisc that was created for it and has nothing else on it. Does nothing if
   * that was done already, by whomever, or if the device is gone. Others' attachments stay.
   */
  detach(): void;
  close(): void;
  toJSON(): TcLinkState;
}
