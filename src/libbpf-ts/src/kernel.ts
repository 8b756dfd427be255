// SPDX-License-Identifier: MIT
/** What the running kernel says of itself and of this thread: its release, its CPUs, the capabilities. */
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
