// SPDX-License-Identifier: MIT
/** From the kernel's monotonic clock to time stamps of 64 bits, without BigInt: one for each frame. */
import { monotonicNow } from '../native/clock';
import type { Stamp } from './pcapng-writer';

export class WallClock {
  private readonly seconds: number;
  private readonly nanoseconds: number;

  /** Both clocks at one moment: milliseconds since 1970, and nanoseconds. A change of the wall clock later changes nothing. */
  constructor(wallMs = performance.timeOrigin + performance.now(), monotonic = monotonicNow()) {
    const seconds = Math.floor(monotonic / 1e9);
    const wallSeconds = Math.floor(wallMs / 1000);
    this.seconds = wallSeconds - seconds;
    this.nanoseconds = Math.round((wallMs - wallSeconds * 1000) * 1e6) - (monotonic - seconds * 1e9);
  }

  /** Nanoseconds since 1970 of a moment of CLOCK_MONOTONIC. */
  stamp(monotonic: number): Stamp {
    const whole = Math.floor(monotonic / 1e9);
    return product(whole + this.seconds, monotonic - whole * 1e9 + this.nanoseconds);
  }
}

/** Seconds and (perhaps negative) nanoseconds as nanoseconds, in halves; each step stays below 2^53. */
function product(seconds: number, nanoseconds: number): Stamp {
  const upper = Math.floor(seconds / 65536) * 1e9; // of 2^16 ns
  const rest = (seconds % 65536) * 1e9 + nanoseconds + (upper % 65536) * 65536;
  const carry = Math.floor(rest / 4294967296);
  return { high: Math.floor(upper / 65536) + carry, low: rest - carry * 4294967296 };
}
