// SPDX-License-Identifier: MIT
/** Clocks that nobody can set: durations are measured with these, never with Date.now(), which goes back when somebody sets the time. */

/** CLOCK_MONOTONIC now, in nanoseconds, as bpf_ktime_get_ns() has it. It allocates. */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}

/**
 * Milliseconds since the process began; it allocates nothing, for the polling threads' sake. The global `performance` is a getter of
 * Node's that looks for its module each time, which takes as long as to read the clock.
 */
export const clock: { now(): number } = performance;
