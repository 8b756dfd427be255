// SPDX-License-Identifier: MIT
/** Processor time of the whole machine: senders, receivers, loop and softirqs alike. */
import * as fs from 'node:fs';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** Seconds that all CPUs were busy so far. Fields as in proc_stat(5): idle and iowait are the 4th and 5th. */
export function busySeconds(): number {
  const fields = (fs.readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  return fields.reduce((sum, ticks, index) => (index === 3 || index === 4 ? sum : sum + ticks), 0) / TICKS_PER_SECOND;
}
