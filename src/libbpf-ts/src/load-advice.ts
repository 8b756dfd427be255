// SPDX-License-Identifier: MIT
/** What to do about a load that the kernel refused with an errno alone, where libbpf's words only repeat that errno. */
import { lackingCapabilities } from './kernel';
import type { Address } from './native/ffi';
import { libbpf } from './native/libbpf';
import { MapType } from './uapi';

const RINGS: readonly number[] = [MapType.RINGBUF, MapType.USER_RINGBUF];
const OUTER: readonly number[] = [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS];
/** Types whose number of entries is zero, or found by libbpf. */
const COUNTED: readonly number[] = [
  MapType.PERF_EVENT_ARRAY,
  MapType.CGROUP_STORAGE,
  MapType.PERCPU_CGROUP_STORAGE,
  MapType.SK_STORAGE,
  MapType.STRUCT_OPS,
  MapType.INODE_STORAGE,
  MapType.TASK_STORAGE,
  MapType.CGRP_STORAGE,
];

/** libbpf's probes take a missing privilege for a missing type. */
const canProbe = (): boolean => lackingCapabilities(['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON']).length === 0;

/** Why the kernel does not create a map, as far as its definition shows it. */
function adviceOnMap(name: string, map: Address): string | undefined {
  const type = libbpf.bpf_map__type(map);
  const settings: string[] = [];
  if (libbpf.bpf_map__value_size(map) === 0 && !RINGS.includes(type)) settings.push('valueSize');
  if (libbpf.bpf_map__max_entries(map) === 0 && !COUNTED.includes(type)) settings.push('maxEntries');
  if (settings.length > 0) {
    const size = RINGS.includes(type) ? ' (bytes of a ring buffer)' : '';
    return `its ${settings.join(' and ')} are 0${size}: give them with setMap('${name}', { ${settings.join(', ')} }) before load()`;
  }
  if (OUTER.includes(type)) {
    const inner = libbpf.bpf_map__inner_map(map);
    if (inner === 0) return 'it does not say what its inner maps are like: declare __array(values, struct { ... })';
    // libbpf counts CPUs for no inner map.
    if (libbpf.bpf_map__max_entries(inner) === 0) return 'the max_entries of its inner map are 0: declare their number';
  }
  if (canProbe() && libbpf.libbpf_probe_bpf_map_type(type, null) === 0) {
    return `this kernel has no maps of type ${libbpf.libbpf_bpf_map_type_str(type) ?? type}`;
  }
  return undefined;
}

function adviceOnProgram(program: Address): string {
  const type = libbpf.bpf_program__type(program);
  if (canProbe() && libbpf.libbpf_probe_bpf_prog_type(type, null) === 0) {
    return `this kernel has no programs of type ${libbpf.libbpf_bpf_prog_type_str(type) ?? type}: it is older, or was built without`;
  }
  return 'the kernel refused it before the verifier, which says why, had looked at it: see its section and flags';
}

/**
 * What to do; undefined if libbpf has said more than an errno.
 *
 * @param messages what libbpf printed
 * @param maps of the object, by name
 * @param programs those that were to be loaded
 */
export function loadAdvice(
  messages: readonly string[],
  maps: ReadonlyMap<string, Address>,
  programs: ReadonlyMap<string, Address>,
): string | undefined {
  for (const message of messages) {
    const map = /^map '(.+)': failed to create: .*\(-22\)/.exec(message)?.[1];
    if (map !== undefined && maps.has(map)) return adviceOnMap(map, maps.get(map)!);
    const program = /^prog '(.+)': BPF program load failed: Invalid argument$/.exec(message)?.[1];
    if (program !== undefined && programs.has(program)) return adviceOnProgram(programs.get(program)!);
  }
  return undefined;
}
