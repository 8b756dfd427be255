// SPDX-License-Identifier: MIT
import { bytesOf, flags64, integer, text, uint32 } from './border';
import { check, Errno, IncompatibleMapError, systemError, UsageError } from './errors';
import { openPinnedFd, OwnedFd, pinFd, requireKind } from './fd';
import { possibleCpus } from './kernel';
import { MappedMemory } from './mmap';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import { MapFlag, MapType } from './uapi';

/**
 * Reads a map with BPF_MAP_LOOKUP_BATCH (Linux 5.6).
 *
 * @param valueSize bytes per entry in the kernel's answer
 * @returns false, without having yielded anything, if the kernel or the map type has no batch look-up
 */
export function* lookupBatches(
  fd: number,
  keySize: number,
  valueSize: number,
  batchSize: number,
): Generator<[Uint8Array, Uint8Array], boolean> {
  const options = new CStruct(24, true);
  // The opaque position is a key for arrays and a bucket number (u32) for hashes.
  let previous: Uint8Array | null = null;
  let next: Uint8Array = new Uint8Array(Math.max(keySize, 8));
  const count = new Uint32Array(1);
  for (let size = batchSize; ;) {
    const keys = new Uint8Array(size * keySize);
    const values = new Uint8Array(size * valueSize);
    count[0] = size;
    const error = -libbpf.bpf_map_lookup_batch(fd, previous, next, keys, values, count, options.bytes);
    if (error === Errno.ENOSPC) {
      // A hash bucket holds more than fits; count means nothing here, so grow and ask again.
      size *= 2;
      continue;
    }
    if (error !== 0 && error !== Errno.ENOENT) {
      const lacking = error === Errno.EINVAL || error === Errno.ENOTSUPP || error === Errno.EOPNOTSUPP;
      if (previous === null && lacking) return false;
      throw systemError('bpf(BPF_MAP_LOOKUP_BATCH)', error, ['CAP_BPF']);
    }
    for (let i = 0; i < count[0]!; i++) {
      yield [keys.slice(i * keySize, (i + 1) * keySize), values.slice(i * valueSize, (i + 1) * valueSize)];
    }
    if (error === Errno.ENOENT) return true;
    [previous, next] = [next, previous ?? new Uint8Array(next.length)];
  }
}

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

export interface CreateMapOptions {
  /** {@link MapType} */
  readonly type: number;
  /** Bytes; 0 for ring buffers. */
  readonly keySize: number;
  /** Bytes; 0 for ring buffers. */
  readonly valueSize: number;
  /** Entries; bytes for ring buffers. */
  readonly maxEntries: number;
  /** At most 15 characters of `[A-Za-z0-9_.]`. */
  readonly name?: string;
  /** {@link MapFlag} */
  readonly flags?: number;
}

/**
 * A BPF map. It owns its file descriptor (close-on-exec): the map exists in the kernel as long as a descriptor, a pin
 * or a program holds it, and a BpfMap from a BpfObject outlives that object. Close it when done.
 *
 * Keys and values are bytes in the layout of the C types, in native byte order. Minimum kernel 4.13 (map info).
 */
export class BpfMap implements Disposable {
  /** Name in the object file, or else the kernel's name, which is cut to 15 characters. */
  readonly name: string;
  readonly #info: MapInfo;
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd, name?: string) {
    this.#fd = fd;
    try {
      requireKind(fd.value, 'map', `open map ${name ?? fd.value}`);
      this.#info = readMapInfo(fd.value);
    } catch (error) {
      fd.close();
      throw error;
    }
    this.name = name ?? this.#info.name;
  }

  /** Opens the map pinned at `path`. Throws BpfError: ENOENT; `BPF_USAGE` for a pin of anything else. */
  static openPinned(path: string): BpfMap {
    return new BpfMap(openPinnedFd(path, 'map'));
  }

  /** A new handle with a duplicate of `fd`, which stays the caller's. */
  static fromFd(fd: number, name?: string): BpfMap {
    return new BpfMap(OwnedFd.duplicate(fd, `map ${name ?? fd}`), name);
  }

  /** Creates a map. Needs CAP_BPF. */
  static create(options: CreateMapOptions): BpfMap {
    const { type, name = null, keySize, valueSize, maxEntries, flags = 0 } = options;
    const operation = 'create map';
    integer(operation, 'type', type, 1, 0x7fff_ffff);
    for (const [field, value] of Object.entries({ keySize, valueSize, maxEntries, flags })) {
      uint32(operation, field, value);
    }
    if (name !== null) text(operation, 'name', name);
    const more = new CStruct(48, true).setU32(28, flags);
    const fd = libbpf.bpf_map_create(type, name, keySize, valueSize, maxEntries, more.bytes);
    check(fd, `bpf(BPF_MAP_CREATE) ${mapTypeName(type)}`, ['CAP_BPF']);
    return new BpfMap(new OwnedFd(fd, `map ${name ?? ''}`), name ?? undefined);
  }

  /** Owned by this object: do not close it. Throws `BPF_USAGE` after close(). */
  get fd(): number {
    return this.#fd.value;
  }

  /** {@link MapType} */
  get type(): number {
    return this.#info.type;
  }

  /** Bytes. */
  get keySize(): number {
    return this.#info.keySize;
  }

  /** Bytes; of one CPU's value in a per-CPU map. */
  get valueSize(): number {
    return this.#info.valueSize;
  }

  /** Entries; bytes of record space for a ring buffer. */
  get maxEntries(): number {
    return this.#info.maxEntries;
  }

  /** {@link MapFlag} and others. */
  get flags(): number {
    return this.#info.flags;
  }

  /** The kernel's number for the map, unique while it exists. */
  get id(): number {
    return this.#info.id;
  }

  /** Pins the map at a new path on a bpffs; unpin with fs.unlinkSync. */
  pin(path: string): void {
    pinFd(this.fd, path);
  }

  /** A copy of the value; undefined if the key has none. */
  get(key: Uint8Array): Uint8Array | undefined {
    this.#requirePlain('get', 'getPerCpu');
    const value = new Uint8Array(this.valueSize);
    return this.#lookup(key, value) ? value : undefined;
  }

  /** Stores a value. @param flags {@link UpdateFlag}: EEXIST and ENOENT are thrown as BpfError */
  set(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.#requirePlain('set', 'setPerCpu');
    flags64('set', flags);
    this.#requireSize('value', value, this.valueSize);
    this.#update(key, value, flags);
  }

  /** Removes an entry; false if there was none. Entries of arrays cannot be removed (EINVAL). */
  delete(key: Uint8Array): boolean {
    this.#requireSize('key', key, this.keySize);
    const error = -libbpf.bpf_map_delete_elem(this.fd, key);
    if (error === Errno.ENOENT) return false;
    if (error !== 0) throw systemError(`delete from map ${this.name}`, error, ['CAP_BPF']);
    return true;
  }

  /**
   * Keys, one system call each. If an entry is removed meanwhile the kernel starts over, so a key may appear twice; to
   * remove entries while iterating, collect the keys first.
   */
  *keys(): Generator<Uint8Array> {
    let previous: Uint8Array | null = null;
    for (;;) {
      const key: Uint8Array = new Uint8Array(this.keySize);
      const error = -libbpf.bpf_map_get_next_key(this.fd, previous, key);
      if (error === Errno.ENOENT) return;
      if (error !== 0) throw systemError(`iterate map ${this.name}`, error, ['CAP_BPF']);
      // The caller may change the key that it receives.
      yield key.slice();
      previous = key;
    }
  }

  /** Keys and values, two system calls each; entries removed meanwhile are left out. */
  *entries(): Generator<[Uint8Array, Uint8Array]> {
    for (const key of this.keys()) {
      const value = this.get(key);
      if (value) yield [key, value];
    }
  }

  /**
   * Keys and values, `batchSize` per system call (Linux 5.6 for hashes and arrays); like {@link entries} where the
   * kernel or the map type has no batch look-up.
   */
  *entriesBatch(batchSize = 256): Generator<[Uint8Array, Uint8Array]> {
    this.#requirePlain('entriesBatch', 'keys and getPerCpu');
    const size = Math.max(1, Math.min(uint32('entriesBatch', 'batchSize', batchSize, 1), this.maxEntries));
    const done = yield* lookupBatches(this.fd, this.keySize, this.valueSize, size);
    if (!done) yield* this.entries();
  }

  /** The value of each possible CPU; undefined if the key has none. */
  getPerCpu(key: Uint8Array): Uint8Array[] | undefined {
    const stride = this.#requirePerCpu('getPerCpu');
    const cpus = possibleCpus();
    const values = new Uint8Array(stride * cpus);
    if (!this.#lookup(key, values)) return undefined;
    return Array.from({ length: cpus }, (_, cpu) => values.subarray(cpu * stride, cpu * stride + this.valueSize));
  }

  /** Stores one value for each possible CPU. */
  setPerCpu(key: Uint8Array, values: readonly Uint8Array[], flags = 0): void {
    const stride = this.#requirePerCpu('setPerCpu');
    flags64('setPerCpu', flags);
    const cpus = possibleCpus();
    if (values.length !== cpus) {
      throw new UsageError('setPerCpu', `${values.length} values for ${cpus} possible CPUs`);
    }
    const bytes = new Uint8Array(stride * cpus);
    values.forEach((value, cpu) => {
      this.#requireSize('value', value, this.valueSize);
      bytes.set(value, cpu * stride);
    });
    this.#update(key, bytes, flags);
  }

  /**
   * Maps an array with BPF_F_MMAPABLE into memory (Linux 5.5): value i starts at i × value size rounded up to 8.
   * The caller owns the mapping and closes it; it keeps the map alive.
   *
   * @param options.writable false for frozen maps, such as `.rodata`; defaults to true
   */
  mmap(options: { readonly writable?: boolean } = {}): MappedMemory {
    if (this.type !== MapType.ARRAY || (this.flags & MapFlag.MMAPABLE) === 0) {
      throw new UsageError(`mmap of map ${this.name}`, 'only an ARRAY with BPF_F_MMAPABLE can be mapped');
    }
    const length = roundUp8(this.valueSize) * this.maxEntries;
    return MappedMemory.map({ fd: this.fd, length, writable: options.writable ?? true });
  }

  /** Throws IncompatibleMapError (`BPF_MAP_INCOMPATIBLE`), which names every difference. */
  checkCompatible(expected: MapLayout): void {
    checkLayout(this.name, this.#info, expected);
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #lookup(key: Uint8Array, value: Uint8Array): boolean {
    this.#requireSize('key', key, this.keySize);
    const error = -libbpf.bpf_map_lookup_elem(this.fd, key, value);
    if (error === Errno.ENOENT) return false;
    if (error !== 0) throw systemError(`look up in map ${this.name}`, error, ['CAP_BPF']);
    return true;
  }

  #update(key: Uint8Array, value: Uint8Array, flags: number): void {
    this.#requireSize('key', key, this.keySize);
    check(libbpf.bpf_map_update_elem(this.fd, key, value, flags), `update map ${this.name}`, ['CAP_BPF']);
  }

  #requireSize(what: string, bytes: Uint8Array, size: number): void {
    if (bytesOf(`map ${this.name}`, what, bytes).byteLength !== size) {
      throw new UsageError(`map ${this.name}`, `${what} has ${bytes.byteLength} bytes, not ${size}`);
    }
  }

  #requirePlain(call: string, instead: string): void {
    // The kernel would write one value per CPU past the end of the buffer.
    if (isPerCpu(this.type)) throw new UsageError(`${call} of map ${this.name}`, `it is per-CPU; use ${instead}`);
  }

  #requirePerCpu(call: string): number {
    if (!isPerCpu(this.type)) throw new UsageError(`${call} of map ${this.name}`, 'it is not per-CPU');
    return roundUp8(this.valueSize);
  }
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
