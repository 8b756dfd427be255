// SPDX-License-Identifier: MIT
/** Checks what the kernel will ask for before anything is changed. */
import * as fs from 'node:fs';

import { VnetError } from '../errors';

/** Capability numbers of include/uapi/linux/capability.h. */
const NEEDED: readonly [string, number, string][] = [
  ['CAP_NET_BROADCAST', 11, 'to hear of links in other network namespaces'],
  ['CAP_NET_ADMIN', 12, 'to make interfaces and attach programs to them'],
  ['CAP_NET_RAW', 13, 'to open the AF_PACKET socket'],
  ['CAP_SYS_ADMIN', 21, 'to enter network namespaces and to mount'],
  ['CAP_PERFMON', 38, 'to read kernel memory from BPF programs'],
  ['CAP_BPF', 39, 'to load BPF programs'],
];

/** The effective capabilities of this process as a bit set. */
export function effectiveCapabilities(): bigint {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  return BigInt('0x' + (/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'));
}

/** What is missing, by name, with the reason why it is needed. */
export function missingCapabilities(effective = effectiveCapabilities()): { name: string; why: string }[] {
  return NEEDED.filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n).map(([name, , why]) => ({ name, why }));
}

/** Throws unless this process is root with the capabilities that the work needs. */
export function requirePrivileges(): void {
  if (process.geteuid?.() !== 0) {
    throw new VnetError('NOT_ROOT', 'privileges', 'this needs root', { hint: 'run it with sudo' });
  }
  const missing = missingCapabilities();
  if (missing.length > 0) {
    const { name, why } = missing[0] as { name: string; why: string };
    throw new VnetError('MISSING_CAPABILITY', 'privileges', `this process lacks ${missing.map((m) => m.name).join(', ')}`, {
      hint: `${name} is needed ${why}; in a container: --cap-add or --privileged`,
    });
  }
}
