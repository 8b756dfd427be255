// SPDX-License-Identifier: MIT
import { addressOf, stableBytes, stableString } from './memory';
import type { Address } from './libc';

/** True where the CPU is little-endian, as on every platform that Node supports but s390x. */
export const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** A C structure in memory at a fixed address, written and read by offset in native byte order. */
export class CStruct {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #kept: Uint8Array[] = [];

  /** @param size sizeof the structure; with `sized` it is also stored first, as libbpf's option structures want. */
  constructor(size: number, sized = false) {
    this.bytes = stableBytes(size);
    this.#view = new DataView(this.bytes.buffer);
    if (sized) this.setU64(0, size);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, littleEndian);
  }

  setU32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, littleEndian);
    return this;
  }

  setU64(offset: number, value: number): this {
    this.#view.setBigUint64(offset, BigInt(value), littleEndian);
    return this;
  }

  /** Stores an address; bytes or a string are kept reachable as long as this structure is. */
  setPointer(offset: number, target: Uint8Array | string | Address): this {
    if (typeof target === 'number') return this.setU64(offset, target);
    const bytes = typeof target === 'string' ? stableString(target) : target;
    this.#kept.push(bytes);
    return this.setU64(offset, addressOf(bytes));
  }

  /** A NUL-terminated string in a field of `length` bytes. */
  text(offset: number, length: number): string {
    const field = this.bytes.subarray(offset, offset + length);
    const end = field.indexOf(0);
    return Buffer.from(field.subarray(0, end < 0 ? length : end)).toString('utf8');
  }
}
