// SPDX-License-Identifier: MIT
/** The clock of bpf_ktime_get_ns(). */

/** CLOCK_MONOTONIC now, in nanoseconds. It allocates. */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}

/**
 * The clock of the polling threads, in milliseconds; it allocates nothing. The global `performance` is a getter of
 * Node's that looks for its module each time, which takes as long as to read the clock.
 */
export const clock: { now(): number } = performance;
