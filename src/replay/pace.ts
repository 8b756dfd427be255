// SPDX-License-Identifier: MIT
/** When the frames of a capture are due, if they are sent as far apart as they were captured. */
import { setTimeout as delay } from 'node:timers/promises';

/** What a timer of Node's may be late by. */
const TIMER_MS = 2;
/** Below the longest that a timer of Node's can be set to, 24.8 days: a longer one ends at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

const word = new Int32Array(new SharedArrayBuffer(4));

export class Pace {
  private first: bigint | null = null;
  private startedAt = 0;

  /** Milliseconds until a frame of this time is due; 0 or less: now. One without a time is due at once. */
  dueIn(time: bigint | null): number {
    if (time === null) return 0;
    if (this.first === null) {
      this.first = time;
      this.startedAt = performance.now();
    }
    return Number(time - this.first) / 1e6 - (performance.now() - this.startedAt);
  }

  /** Waits; the last of it without the event loop, whose timers are not exact. */
  async wait(ms: number): Promise<void> {
    const end = performance.now() + ms;
    for (let left = ms; left > TIMER_MS; left = end - performance.now()) await delay(Math.min(left - TIMER_MS, TIMER_MAX_MS));
    const rest = end - performance.now();
    if (rest > 0) Atomics.wait(word, 0, 0, rest);
  }
}
