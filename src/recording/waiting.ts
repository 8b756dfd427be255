// SPDX-License-Identifier: MIT
/**
 * Frames that wait for news, by number. Numbers follow each other, so nearly each has a slot of its own; what meets
 * another there (two CPUs took one number in the same instant, or it came round) stands behind it.
 */
import type { RecordedFrame } from './recorded-frame';

export class Waiting {
  private readonly slots: (RecordedFrame | null)[];
  /** Of each slot that several share, those behind the first. */
  private readonly behind = new Map<number, RecordedFrame[]>();

  /** `size` is a power of two. */
  constructor(private readonly size: number) {
    this.slots = new Array<RecordedFrame | null>(size).fill(null);
  }

  put(frame: RecordedFrame): void {
    const slot = frame.number & (this.size - 1);
    if (this.slots[slot] === null) {
      this.slots[slot] = frame;
      return;
    }
    const others = this.behind.get(slot);
    if (others) others.push(frame);
    else this.behind.set(slot, [frame]);
  }

  /** The one of that number that has waited longest; of the bits in `mask`. */
  take(number: number, mask = -1): RecordedFrame | null {
    const slot = number & (this.size - 1);
    const first = this.slots[slot] as RecordedFrame | null;
    if (first === null) return null;
    const frame = ((first.number ^ number) & mask) === 0 ? first : this.behind.get(slot)?.find((each) => ((each.number ^ number) & mask) === 0);
    if (frame) this.remove(frame);
    return frame ?? null;
  }

  remove(frame: RecordedFrame): void {
    const slot = frame.number & (this.size - 1);
    const others = this.behind.size === 0 ? undefined : this.behind.get(slot);
    if (this.slots[slot] === frame) this.slots[slot] = others?.shift() ?? null;
    else if (others) others.splice(others.indexOf(frame), others.includes(frame) ? 1 : 0);
    if (others?.length === 0) this.behind.delete(slot);
  }
}
