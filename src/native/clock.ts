// SPDX-License-Identifier: MIT
/**
 * Clocks that cannot be set. Durations are measured with these, never with Date.now(), which goes back when the time is
 * set back.
 */

/** The current CLOCK_MONOTONIC in nanoseconds, as bpf_ktime_get_ns() has it. Allocates. */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}

/** The same in whole milliseconds, for times that other processes read. */
export const monotonicMs = (): number => Math.round(monotonicNow() / 1e6);

/**
 * Milliseconds since the process began. Allocates nothing, for the sake of the polling threads. The global
 * `performance` is a getter of Node's that looks up its module each time, which takes as long as reading the clock.
 */
export const clock: { now(): number } = performance;

/** Whether `work` settles within `ms` milliseconds; a rejection counts, too. */
export function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    work.then(end, end);
  });
}
