// SPDX-License-Identifier: MIT
import { existsSync, readFileSync } from 'node:fs';
import { BpfError, Errno, NotSupportedError } from './errors';
import { lackingCapabilities } from './kernel';
import { BpfMap } from './map';
import { libbpf } from './native/libbpf';
import { probeTcx } from './tcx';
import { MapFlag, MapType, ProgramType } from './uapi';

/** bpf_ringbuf_reserve_dynptr in `enum bpf_func_id` */
const BPF_FUNC_ringbuf_reserve_dynptr = 198;

export type FeatureName =
  'tcx' | 'ringbuf' | 'ringbuf-dynptr' | 'btf-vmlinux' | 'jit' | 'mmapable-arrays' | 'batch-lookup' | 'trampolines';

export interface Feature {
  readonly name: FeatureName;
  /** Description. */
  readonly title: string;
  /** Undefined if the probe was inconclusive, for example because a privilege is missing. */
  readonly supported: boolean | undefined;
  /** First mainline release that has it. */
  readonly minimumKernel: string;
}

interface Probe {
  readonly title: string;
  readonly minimumKernel: string;
  run(): boolean | undefined;
}

const probes: Readonly<Record<FeatureName, Probe>> = {
  tcx: { title: 'TCX attachment of TC programs', minimumKernel: '6.6', run: probeTcx },
  ringbuf: {
    title: 'BPF ring buffers',
    minimumKernel: '5.8',
    run: () => ifPrivileged(() => conclusive(libbpf.libbpf_probe_bpf_map_type(MapType.RINGBUF, null))),
  },
  'ringbuf-dynptr': {
    title: 'ring buffer records of variable size (bpf_ringbuf_reserve_dynptr)',
    minimumKernel: '5.19',
    run: () =>
      ifPrivileged(() => {
        // Takes a program that cannot be loaded at all for one whose helper exists.
        if (libbpf.libbpf_probe_bpf_prog_type(ProgramType.SCHED_CLS, null) !== 1) return undefined;
        return conclusive(libbpf.libbpf_probe_bpf_helper(ProgramType.SCHED_CLS, BPF_FUNC_ringbuf_reserve_dynptr, null));
      }),
  },
  'btf-vmlinux': {
    title: "the kernel's own BTF (CONFIG_DEBUG_INFO_BTF)",
    minimumKernel: '5.4',
    run: () => existsSync('/sys/kernel/btf/vmlinux'),
  },
  jit: {
    title: 'BPF just-in-time compiler switched on',
    minimumKernel: '4.1',
    run: () => {
      try {
        return readFileSync('/proc/sys/net/core/bpf_jit_enable', 'latin1').trim() !== '0';
      } catch {
        return undefined;
      }
    },
  },
  'mmapable-arrays': { title: 'arrays mapped into user space', minimumKernel: '5.5', run: probeMmapableArray },
  'batch-lookup': { title: 'batch look-up in maps', minimumKernel: '5.6', run: probeBatchLookup },
  trampolines: {
    title: 'tracing through BPF trampolines (fentry, fexit)',
    minimumKernel: '5.5',
    run: probeTrampolines,
  },
};

const known = new Map<FeatureName, boolean>();

/** Names of all features that can be probed. */
export const featureNames = Object.keys(probes) as FeatureName[];

/** Probes one feature of the running kernel. Only conclusive results are cached. */
export function probeFeature(name: FeatureName): Feature {
  const { title, minimumKernel, run } = probes[name];
  let supported = known.get(name);
  if (supported === undefined) {
    supported = run();
    if (supported !== undefined && name !== 'jit') known.set(name, supported);
  }
  return { name, title, supported, minimumKernel };
}

/** Probes every feature. Needs CAP_BPF and CAP_NET_ADMIN to be conclusive; throws LibraryError without libbpf. */
export function probeFeatures(): Feature[] {
  return featureNames.map(probeFeature);
}

/** Throws NotSupportedError if the running kernel certainly lacks the feature. */
export function requireFeature(name: FeatureName): void {
  const { title, supported, minimumKernel } = probeFeature(name);
  if (supported === false) throw new NotSupportedError(title, minimumKernel, { operation: `probe ${name}` });
}

/** Version of the libbpf in use, for example `v1.1`. */
export function libbpfVersion(): string {
  return libbpf.libbpf_version_string();
}

/** Interprets the result of libbpf's probes: 1, 0 or a negative errno. */
function conclusive(answer: number): boolean | undefined {
  return answer < 0 ? undefined : answer === 1;
}

/**
 * Runs a probe of libbpf's, which takes a missing privilege for a missing feature, only where a hash can be created. What
 * /proc says of capabilities is not enough: those of a user namespace do not count.
 */
function ifPrivileged(probe: () => boolean | undefined): boolean | undefined {
  const layout = { type: MapType.HASH, keySize: 4, valueSize: 4, maxEntries: 1 };
  return attempt(() => BpfMap.create(layout).close()) === true ? probe() : undefined;
}

function probeMmapableArray(): boolean | undefined {
  const layout = { type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1 };
  return attempt(() => BpfMap.create({ ...layout, flags: MapFlag.MMAPABLE }).close());
}

function probeBatchLookup(): boolean | undefined {
  return attempt(() => {
    using map = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1 });
    const [keys, values, next] = [new Uint8Array(4), new Uint8Array(8), new Uint8Array(8)];
    const error = libbpf.bpf_map_lookup_batch(map.fd, null, next, keys, values, new Uint32Array([1]), null);
    if (error !== 0 && error !== -Errno.ENOENT) throw new BpfError('', { errno: -error, operation: '' });
  });
}

/**
 * Lets libbpf ask for a function that does not exist; a kernel that refuses before it looks it up refuses every program
 * of the kind.
 */
function probeTrampolines(): boolean | undefined {
  if (lackingCapabilities(['CAP_BPF', 'CAP_PERFMON']).length > 0) return undefined;
  return ifPrivileged(() => conclusive(libbpf.libbpf_probe_bpf_prog_type(ProgramType.TRACING, null)));
}

function attempt(probe: () => void): boolean | undefined {
  try {
    probe();
    return true;
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    const { errno } = error;
    return errno === Errno.EINVAL || errno === Errno.ENOTSUPP || errno === Errno.EOPNOTSUPP ? false : undefined;
  }
}
