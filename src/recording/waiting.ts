// SPDX-License-Identifier: MIT
/** Frames that wait for news, by number: usually one, several where CPUs took the same number in one instant or it came round. */
import type { RecordedFrame } from './recorded-frame';

export class Waiting {
  private readonly frames = new Map<number, RecordedFrame | RecordedFrame[]>();

  put(number: number, frame: RecordedFrame): void {
    const there = this.frames.get(number);
    if (there === undefined) this.frames.set(number, frame);
    else if (Array.isArray(there)) there.push(frame);
    else this.frames.set(number, [there, frame]);
  }

  /** The one that has waited longest. */
  take(number: number): RecordedFrame | undefined {
    const there = this.frames.get(number);
    if (there === undefined || !Array.isArray(there)) {
      this.frames.delete(number);
      return there;
    }
    const first = there.shift();
    if (there.length === 0) this.frames.delete(number);
    return first;
  }

  remove(number: number, frame: RecordedFrame): void {
    const there = this.frames.get(number);
    const left = Array.isArray(there) ? there.filter((each) => each !== frame) : [];
    if (left.length > 0) this.frames.set(number, left);
    else if (Array.isArray(there) || there === frame) this.frames.delete(number);
  }
}
