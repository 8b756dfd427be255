// SPDX-License-Identifier: MIT
/** The clock of bpf_ktime_get_ns(). */

/** CLOCK_MONOTONIC now, in nanoseconds. It allocates. */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}
