// SPDX-License-Identifier: MIT
/** When the frames of a capture are due, if they are sent as far apart as they were captured. */
import { setTimeout as delay } from 'node:timers/promises';

import { clock } from '../native/clock';

/** What a timer of Node's may be late by. */
const TIMER_MS = 2;
/** Below the longest that a timer of Node's can be set to, 24.8 days: a longer one ends at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** Captures of several sources have times that go back by less. By more, somebody has set the clock, or another file begins. */
const DISORDER_NS = 1_000_000_000n;

const word = new Int32Array(new SharedArrayBuffer(4));

export class Pace {
  /** The latest time of a frame so far. */
  private latest: bigint | null = null;
  /** When that frame was due. */
  private due = 0;

  /** A gap of more than `maxGapMs` takes no longer than that. */
  constructor(private readonly maxGapMs = Infinity) {}

  /** Milliseconds until a frame of this time is due; 0 or less: now. One without a time is due at once. */
  dueIn(time: bigint | null): number {
    if (time === null) return 0;
    if (this.latest === null) this.due = clock.now();
    const gap = this.latest === null ? 0n : time - this.latest;
    if (this.latest === null || gap > 0n || gap < -DISORDER_NS) this.latest = time;
    if (gap > 0n) this.due += Math.min(Number(gap) / 1e6, this.maxGapMs);
    return this.due - clock.now();
  }

  /** Waits, the last of it without the event loop, whose timers are not exact. Ends early by the signal. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    const end = clock.now() + ms;
    for (let left = ms; left > TIMER_MS && !signal?.aborted; left = end - clock.now()) {
      await delay(Math.min(left - TIMER_MS, TIMER_MAX_MS), undefined, { signal }).catch(() => undefined);
    }
    const rest = end - clock.now();
    if (rest > 0 && !signal?.aborted) Atomics.wait(word, 0, 0, rest);
  }
}
