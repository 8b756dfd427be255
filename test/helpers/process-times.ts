// SPDX-License-Identifier: MIT
/** Processor time and memory of a process, from /proc. */
import * as fs from 'node:fs';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** Milliseconds of processor time of all threads of a process so far. */
export function cpuMs(pid: number): number {
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Milliseconds that the whole machine has spent in software interrupts so far. */
export function machineSoftirqMs(): number {
  const [, ...fields] = (fs.readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/);
  return (Number(fields[6]) * 1000) / TICKS_PER_SECOND;
}

/** Resident memory in KiB. */
export function residentKib(pid: number): number {
  return Number(/^VmRSS:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN);
}
