// SPDX-License-Identifier: MIT
/** What kind of map it is: type, sizes and flags, as the kernel knows them, and whether they are those expected. */
import { check, IncompatibleMapError } from './errors';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import { MapType } from './uapi';

/** The kernel's information on a map (`struct bpf_map_info`). */
export interface MapInfo {
  readonly type: number;
  readonly id: number;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of one CPU's value in a per-CPU map. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters. */
  readonly name: string;
}

/** Expected layout of a map; omitted fields are not compared. */
export type MapLayout = Partial<Pick<MapInfo, 'type' | 'keySize' | 'valueSize' | 'maxEntries' | 'flags'>>;

export function readMapInfo(fd: number): MapInfo {
  const info = new CStruct(88);
  const length = new Uint32Array([88]);
  check(libbpf.bpf_obj_get_info_by_fd(fd, info.bytes, length), 'bpf(BPF_OBJ_GET_INFO_BY_FD)', ['CAP_BPF']);
  return {
    type: info.u32(0),
    id: info.u32(4),
    keySize: info.u32(8),
    valueSize: info.u32(12),
    maxEntries: info.u32(16),
    flags: info.u32(20),
    name: info.text(24, 16),
  };
}

/** Name of a map type, for messages. */
export function mapTypeName(type: number): string {
  return Object.entries(MapType).find(([, value]) => value === type)?.[0] ?? `type ${type}`;
}

/** Compares layouts; the pure part of {@link BpfMap.checkCompatible}. */
export function checkLayout(name: string, actual: MapInfo, expected: MapLayout): void {
  const differences: string[] = [];
  for (const key of ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const) {
    const want = expected[key];
    if (want === undefined || want === actual[key]) continue;
    const show = key === 'type' ? mapTypeName : String;
    differences.push(`${key} is ${show(actual[key])}, not ${show(want)}`);
  }
  if (differences.length > 0) throw new IncompatibleMapError(name, differences);
}

/** Whether the kernel keeps a value for each possible CPU. */
export function isPerCpu(type: number): boolean {
  return (
    type === MapType.PERCPU_ARRAY ||
    type === MapType.PERCPU_HASH ||
    type === MapType.LRU_PERCPU_HASH ||
    type === MapType.PERCPU_CGROUP_STORAGE
  );
}
