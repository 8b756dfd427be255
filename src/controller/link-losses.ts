// SPDX-License-Identifier: MIT
/**
 * Frames that the poller's socket took, but that vnet0 did not get because it changed just then. While its carrier is gone
 * the peer's qdisc is noop, which drops frames and says NET_XMIT_CN, and that is no error; of a merged packet that is
 * cut up the kernel only says what became of its last frame. The peer's counter tells how many are missing, the time why.
 */

/** Looks after a change, one a second, that may find frames which it has cost. */
const LOOKS_FOR_LOSSES = 3;

export type LossReason = 'down' | 'toolong';
export type Losses = Record<LossReason, number>;

export class LinkLosses {
  private reason: LossReason = 'down';
  private left = 0;
  private before: number;

  constructor(
    private readonly losses: Losses,
    /** Frames that are missing without a reason; too few while frames are on their way, never too many. */
    private readonly missing: () => number,
    /** The losses have grown. */
    private readonly grown: () => void,
  ) {
    this.before = missing();
  }

  /** The link has changed just now, after the look before. */
  changed(reason: LossReason): void {
    this.reason = reason;
    this.left = LOOKS_FOR_LOSSES;
  }

  look(): void {
    const missing = this.missing();
    if (this.left === 0) {
      this.before = missing;
      return;
    }
    this.left--;
    const lost = missing - this.before;
    if (lost <= 0) return;
    this.losses[this.reason] += lost;
    this.grown();
  }
}
