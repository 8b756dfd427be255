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

/** The CPUs in a list such as `0-3,8`. */
function cpusIn(list: string): number[] {
  return list
    .trim()
    .split(',')
    .flatMap((range) => {
      const match = /^(\d+)(?:-(\d+))?$/.exec(range);
      if (!match) return [];
      const first = Number(match[1]);
      return Array.from({ length: Number(match[2] ?? first) - first + 1 }, (_, i) => first + i);
    });
}

/** How many CPUs such a list has; the pure part of {@link possibleCpus}. */
export const countCpus = (list: string): number => cpusIn(list).length;

const cpusOf = (which: 'possible' | 'online'): number[] =>
  cpusIn(readFileSync(`/sys/devices/system/cpu/${which}`, 'latin1'));

let possible = 0;

/** Number of CPUs that may ever be online: the slots of a per-CPU map (num_possible_cpus() in the kernel). */
export function possibleCpus(): number {
  return (possible ||= cpusOf('possible').length);
}

/** The CPUs that are online now. */
export const onlineCpus = (): number[] => cpusOf('online');

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
