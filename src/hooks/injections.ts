// SPDX-License-Identifier: MIT
/** Frames that wait for the next poll to send them: from hooks, their timers, and nic.inject(). */
import { wrongFrame } from './contract';

/** So many may wait, of so many bytes: more would be memory that grows without end. */
export const INJECTIONS_MAX = 16384;
const BYTES_MAX = 64 << 20;

export class Injections {
  private waiting: Uint8Array[] = [];
  private next = 0;
  private bytes = 0;

  get length(): number {
    return this.waiting.length - this.next;
  }

  /** Copies a frame into the queue. Throws a RangeError for what is no frame, and if the queue is full. */
  add(frame: Uint8Array): void {
    const wrong = wrongFrame(frame);
    if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
    if (this.length >= INJECTIONS_MAX || this.bytes + frame.length > BYTES_MAX) {
      throw new RangeError(`cannot inject: ${this.length} frames wait already`);
    }
    this.waiting.push(new Uint8Array(frame));
    this.bytes += frame.length;
  }

  /** The first in the queue; undefined if there is none. */
  peek(): Uint8Array | undefined {
    return this.waiting[this.next];
  }

  shift(): void {
    this.bytes -= (this.waiting[this.next] as Uint8Array).length;
    this.next++;
    if (this.next === this.waiting.length) {
      this.waiting = [];
      this.next = 0;
    }
  }
}
