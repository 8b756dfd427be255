// SPDX-License-Identifier: MIT
/** What the running kernel says of itself and of this thread: its release, its CPUs, the capabilities. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
  /** As `uname -r` has it. */
  readonly text: string;
}

/** Pure part of {@link kernelRelease}. */
export function parseRelease(text: string): KernelRelease {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0), text };
}

/** The running kernel. Features are to be probed; distributions carry them to older releases. */
export function kernelRelease(): KernelRelease {
  return parseRelease(release());
}

/** Whether a release (the running one unless given) is `version`, such as `6.6`, or later. */
export function kernelIsAtLeast(version: string, { major, minor }: KernelRelease = kernelRelease()): boolean {
  const wanted = parseRelease(version);
  return major > wanted.major || (major === wanted.major && minor >= wanted.minor);
}

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

/** Bit numbers of include/uapi/linux/capability.h; CAP_BPF and CAP_PERFMON are of Linux 5.8. */
const bits = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

export type Capability = keyof typeof bits;

/** Pure part: the capabilities of `wanted` that the text of /proc/PID/status does not show as effective. */
export function missingCapabilities(status: string, wanted: readonly Capability[]): Capability[] {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  if (!match) return [];
  const effective = BigInt(`0x${match[1]}`);
  const has = (name: Capability): boolean => ((effective >> BigInt(bits[name])) & 1n) === 1n;
  // CAP_SYS_ADMIN implies what CAP_BPF and CAP_PERFMON were split from, but not CAP_NET_ADMIN.
  return wanted.filter((name) => !has(name) && (name === 'CAP_NET_ADMIN' || !has('CAP_SYS_ADMIN')));
}

/** The capabilities of `wanted` that the calling thread lacks; empty when /proc cannot be read. */
export function lackingCapabilities(wanted: readonly Capability[]): Capability[] {
  try {
    return missingCapabilities(readFileSync('/proc/thread-self/status', 'latin1'), wanted);
  } catch {
    return [];
  }
}
