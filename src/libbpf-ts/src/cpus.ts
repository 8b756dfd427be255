// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';

/** Pure part: how many CPUs a list such as `0-3,8` names. */
export function countCpus(list: string): number {
  let count = 0;
  for (const range of list.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (match) count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count;
}

let possible = 0;

/** How many CPUs may ever be online: the slots of a per-CPU map (num_possible_cpus() in the kernel). */
export function possibleCpus(): number {
  return (possible ||= countCpus(readFileSync('/sys/devices/system/cpu/possible', 'latin1')));
}
