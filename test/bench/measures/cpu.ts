// SPDX-License-Identifier: MIT
/** Processor time of the whole machine: senders, receivers, loop and softirqs alike. */
import * as fs from 'node:fs';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** Seconds that all CPUs were busy so far. Fields as in proc_stat(5): idle and iowait are the 4th and 5th. */
export function busySeconds(): number {
  const fields = (fs.readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '')
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .map(Number);
  return fields.reduce((sum, ticks, index) => (index === 3 || index === 4 ? sum : sum + ticks), 0) / TICKS_PER_SECOND;
}

const INTERVAL_MS = 20;

/**
 * Watches it from now on; the returned function ends that and returns the seconds used until a moment, given in
 * nanoseconds of CLOCK_MONOTONIC, which process.hrtime has too (uv_hrtime in libuv).
 */
export function watchBusy(): (untilNs: number) => number {
  const start = busySeconds();
  const looks: { at: number; busy: number }[] = [];
  const timer = setInterval(
    () => looks.push({ at: Number(process.hrtime.bigint()), busy: busySeconds() }),
    INTERVAL_MS,
  );
  return (untilNs) => {
    clearInterval(timer);
    return (looks.find(({ at }) => at >= untilNs)?.busy ?? busySeconds()) - start;
  };
}
