// SPDX-License-Identifier: MIT
/**
 * A set of states of a fixed size, numbered in the order in which they were added: open addressing over packed words.
 */
export class StateSet {
  /** States in the set. */
  size = 0;
  private words: Uint32Array;
  /** Number of a state plus 1, or 0. */
  private slots = new Int32Array(1 << 12);

  /** `length`: 32-bit words of a state. */
  constructor(private readonly length: number) {
    this.words = new Uint32Array(length << 12);
  }

  /** Adds a state unless it exists; returns its number. */
  add(state: Uint32Array): number {
    const { length } = this;
    let hash = 0x9e3779b9;
    for (let i = 0; i < length; i++) {
      hash = Math.imul(hash ^ (state[i] as number), 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 16;
    const mask = this.slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const there = this.slots[slot] as number;
      if (there === 0) return this.insert(state, slot, hash);
      if (this.equals(there - 1, state)) return there - 1;
    }
  }

  /** Copies state `index` to `target`. */
  get(index: number, target: Uint32Array): void {
    const from = index * this.length;
    for (let i = 0; i < this.length; i++) target[i] = this.words[from + i] as number;
  }

  private equals(index: number, state: Uint32Array): boolean {
    const from = index * this.length;
    for (let i = 0; i < this.length; i++) if (this.words[from + i] !== state[i]) return false;
    return true;
  }

  private insert(state: Uint32Array, slot: number, hash: number): number {
    const index = this.size++;
    if (this.size * this.length > this.words.length) this.words = grown(this.words, Uint32Array);
    this.words.set(state, index * this.length);
    this.slots[slot] = index + 1;
    this.hashes.push(hash);
    if (this.size * 2 > this.slots.length) this.rehash();
    return index;
  }

  private readonly hashes = new Ints();

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.size; index++) {
      let slot = this.hashes.at(index) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.slots = slots;
  }
}

/** Integers of 32 bits, as many as there are. */
export class Ints {
  length = 0;
  private items = new Int32Array(1 << 12);

  push(value: number): void {
    if (this.length === this.items.length) this.items = grown(this.items, Int32Array);
    this.items[this.length++] = value;
  }

  at(index: number): number {
    return this.items[index] as number;
  }
}

function grown<T extends Uint32Array | Int32Array>(from: T, Kind: new (length: number) => T): T {
  const to = new Kind(from.length * 2);
  to.set(from);
  return to;
}
