// SPDX-License-Identifier: MIT
import { loadAcquire } from 'libbpf-ts';

/** A local copy: looking the function up in its module takes longer than the load. */
const load = loadAcquire;

/**
 * Words of memory that the kernel also reads. 64-bit counters work without BigInt: a JavaScript number holds integers
 * up to 2^53 exactly, and every counter here stays below that.
 */
export class SharedWords {
  private readonly words: Uint32Array;
  private readonly signed: Int32Array;
  private readonly doubles: Float64Array;
  /** Two u32 halves viewed as one double, whose bits are copied in a single 8-byte store. */
  private readonly halves = new Uint32Array(2);
  private readonly whole = new Float64Array(this.halves.buffer);

  constructor(buffer: ArrayBufferLike, byteOffset: number, bytes: number) {
    this.words = new Uint32Array(buffer, byteOffset, bytes >>> 2);
    this.signed = new Int32Array(buffer, byteOffset, bytes >>> 2);
    this.doubles = new Float64Array(buffer, byteOffset, bytes >>> 3);
  }

  /** Reads the u64 at a byte offset that is a multiple of 8. */
  get64(offset: number): number {
    return (this.words[(offset >>> 2) + 1] as number) * 4294967296 + (this.words[offset >>> 2] as number);
  }

  /**
   * Reads a u64 that others write, with acquire semantics: what is read afterwards is no older. Never returns half of
   * one value and half of the next.
   */
  get64InOrder(offset: number): number {
    const at = offset >>> 2;
    for (let high = load(this.signed, at + 1); ;) {
      const low = load(this.signed, at) >>> 0;
      const before = high;
      high = load(this.signed, at + 1);
      if (high === before) return (high >>> 0) * 4294967296 + low;
    }
  }

  /** Writes the u64 at a byte offset that is a multiple of 8; readers never see half of it. */
  set64(offset: number, value: number): void {
    const at = offset >>> 2;
    const high = (value / 4294967296) >>> 0;
    if (this.words[at + 1] === high) {
      this.words[at] = value >>> 0; // a single store is enough
      return;
    }
    this.halves[0] = value >>> 0;
    this.halves[1] = high;
    this.doubles[offset >>> 3] = this.whole[0] as number;
  }

  /** Reads a u32 with acquire semantics. */
  get32(offset: number): number {
    return load(this.signed, offset >>> 2) >>> 0;
  }

  /** Writes a u32; a full memory barrier. */
  set32(offset: number, value: number): void {
    Atomics.exchange(this.words, offset >>> 2, value);
  }

  /** Sets bits of a u32; returns its previous value. A full memory barrier. */
  or32(offset: number, bits: number): number {
    return Atomics.or(this.words, offset >>> 2, bits);
  }

  /** Adds one to a u64 that others also count in, atomically. Allocates a BigInt: for rare events. */
  increment64(offset: number): void {
    Atomics.add(new BigUint64Array(this.words.buffer, this.words.byteOffset + offset, 1), 0, 1n);
  }

  /** Raises a u64 to at least `value`, atomically. Allocates BigInts: for rare events. */
  raise64(offset: number, value: number): void {
    const word = new BigUint64Array(this.words.buffer, this.words.byteOffset + offset, 1);
    for (let old = word[0] as bigint; old < value;) {
      const found = Atomics.compareExchange(word, 0, old, BigInt(value));
      if (found === old) return;
      old = found;
    }
  }

  /** Replaces a u32 that is `from` with `to`; returns whether it was `from`. A full memory barrier. */
  replace32(offset: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, offset >>> 2, from, to) === from;
  }
}

/** Adds to a 64-bit counter of which this thread is the only writer. */
export function increment(words: SharedWords, offset: number, by = 1): void {
  words.set64(offset, words.get64(offset) + by);
}
