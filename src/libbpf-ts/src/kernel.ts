// SPDX-License-Identifier: MIT
/** What the running kernel says about itself and this thread: its release, CPUs and capabilities. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
  /** The text of `uname -r`. */
  readonly text: string;
}

/** Parses a release; the pure part of {@link kernelRelease}. */
export function parseRelease(text: string): KernelRelease {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0), text };
}

/** The running kernel's release. Probe for features instead: distributions backport them to older releases. */
export function kernelRelease(): KernelRelease {
  return parseRelease(release());
}

/** Whether a release (the running one unless given) is `version`, such as `6.6`, or later. */
export function kernelIsAtLeast(version: string, { major, minor }: KernelRelease = kernelRelease()): boolean {
  const wanted = parseRelease(version);
  return major > wanted.major || (major === wanted.major && minor >= wanted.minor);
}

/** Number of CPUs in a list such as `0-3,8`; the pure part of {@link possibleCpus}. */
export function countCpus(list: string): number {
  let count = 0;
  for (const range of list.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (match) count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count;
}

let possible = 0;

/** Number of CPUs that may ever be online: the slots of a per-CPU map (num_possible_cpus() in the kernel). */
export function possibleCpus(): number {
  return (possible ||= countCpus(readFileSync('/sys/devices/system/cpu/possible', 'latin1')));
}

/** Bit numbers of include/uapi/linux/capability.h; CAP_BPF and CAP_PERFMON exist since Linux 5.8. */
const bits = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

export type Capability = keyof typeof bits;

/**
 * The capabilities in `wanted` that /proc/PID/status does not list as effective; the pure part of {@link
 * lackingCapabilities}.
 */
export function missingCapabilities(status: string, wanted: readonly Capability[]): Capability[] {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  if (!match) return [];
  const effective = BigInt(`0x${match[1]}`);
  const has = (name: Capability): boolean => ((effective >> BigInt(bits[name])) & 1n) === 1n;
  // CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON, which were split from it, but not CAP_NET_ADMIN.
  return wanted.filter((name) => !has(name) && (name === 'CAP_NET_ADMIN' || !has('CAP_SYS_ADMIN')));
}

/** The capabilities in `wanted` that the calling thread lacks; empty if /proc cannot be read. */
export function lackingCapabilities(wanted: readonly Capability[]): Capability[] {
  try {
    return missingCapabilities(readFileSync('/proc/thread-self/status', 'latin1'), wanted);
  } catch {
    return [];
  }
}
