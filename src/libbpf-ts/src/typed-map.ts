// SPDX-License-Identifier: MIT
import type { CType, Input } from './ctypes/ctype';
import { BpfMap } from './map';

/** A map, or what gives it when it is first used. */
export type MapSource = BpfMap | (() => BpfMap);

/** What typed maps have in common. */
class Typed<K, V> {
  readonly key: CType<K>;
  readonly value: CType<V>;
  #map: BpfMap | undefined;
  readonly #source: MapSource;

  /**
   * @param source the map; it stays the caller's
   * @param key the type of keys, from generated code or BtfTypes
   * @param value the type of values
   */
  constructor(source: MapSource, key: CType<K>, value: CType<V>) {
    this.#source = source;
    this.key = key;
    this.value = value;
  }

  /**
   * The map beneath, whose keys and values are bytes. Throws IncompatibleMapError if they have other sizes than the
   * types; `BPF_USAGE` before the object is loaded.
   */
  get raw(): BpfMap {
    if (this.#map) return this.#map;
    const map = this.#source instanceof BpfMap ? this.#source : this.#source();
    map.checkCompatible({
      ...(!this.key.flexible && { keySize: this.key.size }),
      ...(!this.value.flexible && { valueSize: this.value.size }),
    });
    return (this.#map = map);
  }

  /** Removes an entry; false if there was none. */
  delete(key: Input<K>): boolean {
    return this.raw.delete(this.encodeKey(key));
  }

  /** As {@link BpfMap.keys}. */
  *keys(): Generator<K> {
    for (const key of this.raw.keys()) yield this.key.decode(key);
  }

  protected encodeKey(key: Input<K>): Uint8Array {
    return this.key.encode(key, this.raw.keySize);
  }
}

/** A map with keys and values of C types. Values are copies: change one and set() it. */
export class TypedMap<K, V> extends Typed<K, V> implements Iterable<[K, V]> {
  /** The value; undefined if the key has none. */
  get(key: Input<K>): V | undefined {
    const bytes = this.raw.get(this.encodeKey(key));
    return bytes && this.value.decode(bytes);
  }

  /** Stores a value. @param flags as in {@link BpfMap.set} */
  set(key: Input<K>, value: Input<V>, flags = 0): void {
    this.raw.set(this.encodeKey(key), this.value.encode(value, this.raw.valueSize), flags);
  }

  /** Keys and values, `batchSize` per system call, as {@link BpfMap.entriesBatch}. */
  *entries(batchSize?: number): Generator<[K, V]> {
    for (const [key, value] of this.raw.entriesBatch(batchSize)) yield [this.key.decode(key), this.value.decode(value)];
  }

  /** Values, as {@link entries}. */
  *values(batchSize?: number): Generator<V> {
    for (const [, value] of this.raw.entriesBatch(batchSize)) yield this.value.decode(value);
  }

  [Symbol.iterator](): Generator<[K, V]> {
    return this.entries();
  }
}

/** A map with a value for each possible CPU. */
export class PerCpuMap<K, V> extends Typed<K, V> implements Iterable<[K, V[]]> {
  /** The value of each possible CPU; undefined if the key has none. */
  get(key: Input<K>): V[] | undefined {
    return this.raw.getPerCpu(this.encodeKey(key))?.map((bytes) => this.value.decode(bytes));
  }

  /** Stores one value for each possible CPU. @param flags as in {@link BpfMap.set} */
  set(key: Input<K>, values: readonly Input<V>[], flags = 0): void {
    const { valueSize } = this.raw;
    const bytes = values.map((value) => this.value.encode(value, valueSize));
    this.raw.setPerCpu(this.encodeKey(key), bytes, flags);
  }

  /** Keys and values, two system calls each; entries removed meanwhile are left out. */
  *entries(): Generator<[K, V[]]> {
    for (const key of this.raw.keys()) {
      const values = this.raw.getPerCpu(key);
      if (values) yield [this.key.decode(key), values.map((bytes) => this.value.decode(bytes))];
    }
  }

  [Symbol.iterator](): Generator<[K, V[]]> {
    return this.entries();
  }
}
