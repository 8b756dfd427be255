// SPDX-License-Identifier: MIT
/**
 * CoDel (RFC 8289): drops a frame that is about to be sent if, for a whole interval, no frame has waited for less than
 * the target; then more and more often, until one has.
 */

/** In milliseconds. */
export interface CodelSettings {
  target: number;
  interval: number;
}

/** What the RFC recommends for paths across the Internet. */
export const CODEL: CodelSettings = { target: 5, interval: 100 };

/** The largest packet that the queue has seen counts as one that may wait (maxpacket_ of the RFC). */
const MTU_BYTES = 1514;
/** Number of intervals after which the rate of drops begins anew. */
const REMEMBERS = 16;

interface Frame {
  readonly arrives: number;
  readonly bytes: number;
}

export class Codel<T extends Frame> {
  private firstAbove = 0;
  private dropNext = 0;
  private count = 0;
  private lastCount = 0;
  private isDropping = false;
  private largest = MTU_BYTES;
  /** Whether the frame taken last may be dropped. */
  private mayDrop = false;

  constructor(private readonly settings: CodelSettings) {}

  /**
   * Takes the next frame to be sent at `now` out of the queue, after those that are dropped; null if none is left that
   * has arrived. The queue may also have frames that arrive later.
   */
  dequeue(now: number, queue: T[], drop: (frame: T) => void): T | null {
    let frame = this.take(now, queue);
    if (this.isDropping) {
      if (!this.mayDrop) this.isDropping = false;
      while (frame !== null && now >= this.dropNext && this.isDropping) {
        drop(frame);
        this.count++;
        frame = this.take(now, queue);
        if (this.mayDrop) this.dropNext = this.later(this.dropNext);
        else this.isDropping = false;
      }
    } else if (frame !== null && this.mayDrop) {
      drop(frame);
      frame = this.take(now, queue);
      this.isDropping = true;
      const delta = this.count - this.lastCount;
      this.count = delta > 1 && now - this.dropNext < REMEMBERS * this.settings.interval ? delta : 1;
      this.dropNext = this.later(now);
      this.lastCount = this.count;
    }
    return frame;
  }

  /** The more drops, the sooner the next. */
  private later(time: number): number {
    return time + this.settings.interval / Math.sqrt(this.count);
  }

  private take(now: number, queue: T[]): T | null {
    this.mayDrop = false;
    const [frame] = queue;
    if (frame === undefined || frame.arrives > now) {
      this.firstAbove = 0;
      return null;
    }
    queue.shift();
    this.largest = Math.max(this.largest, frame.bytes);
    if (now - frame.arrives < this.settings.target || this.isShort(now, queue)) this.firstAbove = 0;
    else if (this.firstAbove === 0) this.firstAbove = now + this.settings.interval;
    else this.mayDrop = now >= this.firstAbove;
    return frame;
  }

  /** Whether no more than one packet waits. */
  private isShort(now: number, queue: readonly T[]): boolean {
    let bytes = 0;
    for (const frame of queue) {
      if (frame.arrives > now) break;
      bytes += frame.bytes;
      if (bytes > this.largest) return false;
    }
    return true;
  }
}
