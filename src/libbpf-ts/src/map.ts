// SPDX-License-Identifier: MIT
import { bytesOf, flags64, integer, text, uint32 } from './border';
import { BpfError, check, Errno, systemError, UsageError } from './errors';
import { openPinnedFd, OwnedFd, pinFd, requireKind } from './fd';
import { openFdById } from './ids';
import { possibleCpus } from './kernel';
import { deleteBatch, lookupBatches, packed, updateBatch } from './map-batches';
import { checkLayout, isPerCpu, type MapInfo, type MapLayout, mapTypeName, readMapInfo } from './map-info';
import { MappedMemory, pageSize } from './mmap';
import { CStruct, littleEndian } from './native/ffi';
import { libbpf } from './native/libbpf';
import { MapFlag, MapType } from './uapi';

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
  /** For maps of maps: a map like those that will be in it. It may be closed afterwards. */
  readonly innerMap?: BpfMap;
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

  /** Opens the map with a number of the kernel (Linux 4.13). Throws BpfError: ENOENT; EPERM without CAP_SYS_ADMIN. */
  static fromId(id: number): BpfMap {
    return new BpfMap(openFdById('map', id));
  }

  /** Creates a map. Needs CAP_BPF. */
  static create(options: CreateMapOptions): BpfMap {
    const { type, name = null, keySize, valueSize, maxEntries, flags = 0, innerMap } = options;
    const operation = 'create map';
    integer(operation, 'type', type, 1, 0x7fff_ffff);
    for (const [field, value] of Object.entries({ keySize, valueSize, maxEntries, flags })) {
      uint32(operation, field, value);
    }
    if (name !== null) text(operation, 'name', name);
    // bpf_map_create_opts: inner_map_fd, map_flags
    const more = new CStruct(48, true).setU32(24, innerMap?.fd ?? 0).setU32(28, flags);
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

  /** Keys and the values of each possible CPU, two system calls each; entries removed meanwhile are left out. */
  *entriesPerCpu(): Generator<[Uint8Array, Uint8Array[]]> {
    for (const key of this.keys()) {
      const values = this.getPerCpu(key);
      if (values) yield [key, values];
    }
  }

  /**
   * Stores many entries, in one system call where the kernel can (Linux 5.6), else one by one. Entries before the one
   * that is refused stay stored.
   *
   * @throws BpfError as set() does, for example E2BIG for a full map
   */
  setBatch(entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>, flags = 0): void {
    this.#requirePlain('setBatch', 'setPerCpu');
    const all = [...entries];
    for (const [key, value] of all) {
      this.#requireSize('key', key, this.keySize);
      this.#requireSize('value', value, this.valueSize);
    }
    if (all.length === 0) return;
    const keys = packed(
      all.map(([key]) => key),
      this.keySize,
    );
    const values = packed(
      all.map(([, value]) => value),
      this.valueSize,
    );
    const elements = flags64('setBatch', flags);
    const { done, errno } = updateBatch(this.fd, { keys, values, count: all.length }, elements);
    if (errno === 0) return;
    if (!isLacking(errno)) throw systemError(`update map ${this.name}`, errno, ['CAP_BPF']);
    for (const [key, value] of all.slice(done)) this.#update(key, value, elements);
  }

  /** Removes many entries, in one system call where the kernel can; returns how many there were. */
  deleteBatch(keys: Iterable<Uint8Array>): number {
    const all = [...keys];
    for (const key of all) this.#requireSize('key', key, this.keySize);
    if (all.length === 0) return 0;
    try {
      return deleteBatch(this.fd, { keys: packed(all, this.keySize), count: all.length }, this.keySize);
    } catch (error) {
      if (!(error instanceof BpfError) || !isLacking(error.errno)) throw error;
      return all.filter((key) => this.delete(key)).length;
    }
  }

  /** Adds a value to a queue, a stack or a bloom filter. @param flags `UpdateFlag.EXIST`: the oldest gives way */
  push(value: Uint8Array, flags = 0): void {
    this.#requireNoKeys('push');
    this.#requireSize('value', value, this.valueSize);
    check(libbpf.bpf_map_update_elem(this.fd, null, value, flags64('push', flags)), `push to map ${this.name}`);
  }

  /** Takes the next value of a queue or a stack (Linux 4.20); undefined if there is none. */
  pop(): Uint8Array | undefined {
    return this.#next('pop', (value) => libbpf.bpf_map_lookup_and_delete_elem(this.fd, null, value));
  }

  /** The next value of a queue or a stack, which stays; undefined if there is none. */
  peek(): Uint8Array | undefined {
    return this.#next('peek', (value) => libbpf.bpf_map_lookup_elem(this.fd, null, value));
  }

  /** Whether a bloom filter may have a value; false is certain (Linux 5.16). */
  mayHave(value: Uint8Array): boolean {
    this.#requireNoKeys('mayHave');
    this.#requireSize('value', value, this.valueSize);
    const error = -libbpf.bpf_map_lookup_elem(this.fd, null, value.slice());
    if (error !== 0 && error !== Errno.ENOENT) throw systemError(`look up in map ${this.name}`, error, ['CAP_BPF']);
    return error === 0;
  }

  /** Opens the map in a map of maps, which the caller closes; undefined if the key has none. */
  getMap(key: Uint8Array): BpfMap | undefined {
    this.#requireMaps('getMap');
    const id = this.get(key);
    return id && BpfMap.fromId(new DataView(id.buffer).getUint32(0, littleEndian));
  }

  /** Puts a map into a map of maps; it stays the caller's, who may close it. */
  setMap(key: Uint8Array, map: BpfMap, flags = 0): void {
    this.#requireMaps('setMap');
    this.set(key, new Uint8Array(new Uint32Array([map.fd]).buffer), flags);
  }

  /** Makes the map read-only for user space, for good (Linux 5.2). */
  freeze(): void {
    check(libbpf.bpf_map_freeze(this.fd), `freeze map ${this.name}`, ['CAP_BPF']);
  }

  /**
   * Maps an array with BPF_F_MMAPABLE into memory (Linux 5.5): value i starts at i × value size rounded up to 8. Or an
   * arena (Linux 6.9), whose entries are pages.
   * The caller owns the mapping and closes it; it keeps the map alive.
   *
   * @param options.writable false for frozen maps, such as `.rodata`; defaults to true
   */
  mmap(options: { readonly writable?: boolean } = {}): MappedMemory {
    const isArena = this.type === MapType.ARENA;
    if (!isArena && (this.type !== MapType.ARRAY || (this.flags & MapFlag.MMAPABLE) === 0)) {
      throw new UsageError(`mmap of map ${this.name}`, 'only an ARRAY with BPF_F_MMAPABLE or an ARENA can be mapped');
    }
    const length = isArena ? pageSize() * this.maxEntries : roundUp8(this.valueSize) * this.maxEntries;
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

  #requireNoKeys(call: string): void {
    if (this.keySize !== 0)
      throw new UsageError(
        `${call} of map ${this.name}`,
        `${mapTypeName(this.type)} has keys; only a QUEUE, STACK or BLOOM_FILTER has none`,
      );
  }

  #requireMaps(call: string): void {
    if (this.type !== MapType.ARRAY_OF_MAPS && this.type !== MapType.HASH_OF_MAPS)
      throw new UsageError(`${call} of map ${this.name}`, 'it is not a map of maps');
  }

  #next(call: string, take: (value: Uint8Array) => number): Uint8Array | undefined {
    this.#requireNoKeys(call);
    const value = new Uint8Array(this.valueSize);
    const error = -take(value);
    if (error === Errno.ENOENT) return undefined;
    if (error !== 0) throw systemError(`${call} of map ${this.name}`, error, ['CAP_BPF']);
    return value;
  }

  #requirePerCpu(call: string): number {
    if (!isPerCpu(this.type)) throw new UsageError(`${call} of map ${this.name}`, 'it is not per-CPU');
    return roundUp8(this.valueSize);
  }
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}

/** Whether a batch was refused because the kernel or the type of map has none. */
const isLacking = (errno: number): boolean =>
  errno === Errno.EINVAL || errno === Errno.ENOTSUPP || errno === Errno.EOPNOTSUPP;
