// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';

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
