// SPDX-License-Identifier: MIT
/**
 * What the loop requires: features of the kernel, with the release that introduced each, and the privileges of the
 * process. `doctor` shows both, attach refuses without them, docs/kernels.md has the features as a table.
 */
import * as fs from 'node:fs';

import { type FeatureName, kernelIsAtLeast, kernelRelease } from 'libbpf-ts';

import { HINTS, VnetError } from './errors';

export interface KernelFeature {
  /** Stable: `doctor --json` has it. */
  name: string;
  /** First release that has it. */
  since: string;
  /** How the running kernel is asked for it; without a probe its release decides. */
  probe?: FeatureName;
  /** The effect on the loop without it; null: the loop does not work at all. */
  without: string | null;
}

/** Names and releases as in the kernel's own change logs. */
const features = {
  mappedArrays: { name: 'mapped arrays', since: '5.5', probe: 'mmapable-arrays', without: null },
  ringBuffers: { name: 'ring buffers', since: '5.8', probe: 'ringbuf', without: null },
  /** Atomic instructions that return a value (BPF_FETCH, BPF_CMPXCHG): -mcpu=v3 of the compiler. */
  atomics: { name: 'BPF atomics', since: '5.12', without: null },
  /** Pointer arguments of a function that the verifier checks once: describe() in bpf/capture.h. */
  globalPointers: { name: 'pointers to global BPF functions', since: '5.13', without: null },
  /** VIRTIO_NET_HDR_GSO_UDP_L4 in include/linux/virtio_net.h. */
  udpSuperpackets: {
    name: 'UDP superpackets',
    since: '6.2',
    without: 'on a veth the kernel cuts them up before the ring; on a dummy they are refused (refused: gso)',
  },
  /** bpf_cast_to_kern_ctx in kernel/bpf/helpers.c. */
  directReads: { name: 'direct reads of skbs', since: '6.2', without: 'read by probes: a few per cent slower' },
  /**
   * The socket's buffers use pages of a higher order: packet_alloc_skb in net/packet/af_packet.c. The limits of an
   * interface came with 6.3.
   */
  bigTcp: { name: 'BIG TCP', since: '6.6', without: 'a superpacket of TCP has at most 64 KiB: a quarter slower' },
  tcx: { name: 'tcx', since: '6.6', probe: 'tcx', without: 'attached through clsact and cls_bpf' },
  /** "netem: add prng attribute to netem_sched_data". */
  netemSeed: { name: 'seeds of netem', since: '6.6', without: '`vnet-bpf impair` refuses the word seed' },
  /** "veth: Fixing transmit return status for dropped packets"; later stable releases of older kernels have it too. */
  backlogReport: {
    name: 'backlog reports',
    since: '6.6',
    without: 'a frame lost in a full backlog is counted (refused: backlog), not sent again',
  },
} as const satisfies Record<string, KernelFeature>;

export const kernelFeatures: readonly KernelFeature[] = Object.values(features);

/**
 * Whether PACKET_VNET_HDR accepts UDP superpackets. With VNET_BPF_TEST_CUT_UDP_GSO=1, tests see on a new kernel what an
 * old one does.
 */
export function passesUdpGso(): boolean {
  return !process.env['VNET_BPF_TEST_CUT_UDP_GSO'] && kernelIsAtLeast(features.udpSuperpackets.since);
}

/** Whether a superpacket of TCP over IPv4 may be larger than 64 KiB. */
export const passesBigTcp = (): boolean => kernelIsAtLeast(features.bigTcp.since);

/** Whether a program can read the skb behind its context without probes. */
export const readsSkbsDirectly = (): boolean => kernelIsAtLeast(features.directReads.since);

/** Throws UNSUPPORTED if netem would ignore a seed. */
export function requireNetemSeed(): void {
  const { since } = features.netemSeed;
  if (kernelIsAtLeast(since)) return;
  throw new VnetError(
    'UNSUPPORTED',
    'impair seed',
    `came with Linux ${since}, and this kernel is ${kernelRelease().text}`,
    { hint: 'leave it out: random numbers differ each time then' },
  );
}

/** Throws UNSUPPORTED on a kernel that cannot load the programs. */
export function requireKernel(): void {
  const lacking = kernelFeatures.filter(({ since, without }) => without === null && !kernelIsAtLeast(since)).at(-1);
  if (!lacking) return;
  throw new VnetError(
    'UNSUPPORTED',
    'attach',
    `this kernel is ${kernelRelease().text}, and ${lacking.name} came with Linux ${lacking.since}`,
    {
      hint: 'vnet-bpf is tested from Linux 6.1 on (Debian 12, Ubuntu 24.04)',
    },
  );
}

/** Whether /proc is mounted, as it may not be in a chroot or a rescue shell. */
export const isProcMounted = (): boolean => fs.existsSync('/proc/self');

/** Throws STATE if /proc is not mounted. */
export function requireProc(): void {
  if (!isProcMounted()) throw new VnetError('STATE', '/proc', 'is not mounted', { hint: HINTS.proc });
}

// Privileges, checked before anything is changed.

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

/** The missing capabilities by name, with the reason why each is needed. */
export function missingCapabilities(effective = effectiveCapabilities()): { name: string; why: string }[] {
  return NEEDED.filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n).map(([name, , why]) => ({ name, why }));
}

/** Whether this is a user namespace, whose root has every capability there, and none over the machine's BPF. */
export function inUserNamespace(): boolean {
  try {
    const [inside, outside, count] = fs.readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
    return !(inside === '0' && outside === '0' && count === '4294967295');
  } catch {
    return false; // a kernel without user namespaces
  }
}

export const IN_USER_NAMESPACE = {
  what: 'root of a user namespace only (a rootless container)',
  hint: 'run vnet-bpf on the host, or in a container started by root',
} as const;

/**
 * Throws NOT_ROOT or MISSING_CAPABILITY unless this process is root with the capabilities that the work needs, and STATE
 * without /proc.
 */
export function requirePrivileges(): void {
  if (process.geteuid?.() !== 0) {
    throw new VnetError('NOT_ROOT', 'privileges', 'this needs root', { hint: 'run it with sudo' });
  }
  requireProc();
  if (inUserNamespace())
    throw new VnetError('MISSING_CAPABILITY', 'privileges', `this is ${IN_USER_NAMESPACE.what}`, IN_USER_NAMESPACE);
  const missing = missingCapabilities();
  if (missing.length > 0) {
    const { name, why } = missing[0] as { name: string; why: string };
    throw new VnetError(
      'MISSING_CAPABILITY',
      'privileges',
      `this process lacks ${missing.map((m) => m.name).join(', ')}`,
      {
        hint: `${name} is needed ${why}; in a container: --cap-add or --privileged`,
      },
    );
  }
}
