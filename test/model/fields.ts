// SPDX-License-Identifier: MIT
/** How a model lays out its state: fields of a byte each, and lists that end at the first 0. */

/** Hands out offsets; `size()` is what has been handed out. */
export function fields(): { field(count?: number): number; size(): number } {
  let bytes = 0;
  return { field: (count = 1) => (bytes += count) - count, size: () => bytes };
}

/** A byte read as one with a sign. */
export const signed = (byte: number): number => (byte << 24) >> 24;

/** Items of the list of at most `max` bytes at `at`. */
export function length(state: Uint8Array, at: number, max: number): number {
  let count = 0;
  while (count < max && state[at + count]) count++;
  return count;
}

/** Adds an item at the end. */
export function append(state: Uint8Array, at: number, max: number, item: number): void {
  const end = length(state, at, max);
  if (end === max) throw new RangeError('the model has no place for it');
  state[at + end] = item;
}

/** Adds an item at the beginning. */
export function prepend(state: Uint8Array, at: number, max: number, item: number): void {
  if (state[at + max - 1]) throw new RangeError('the model has no place for it');
  for (let i = max - 1; i > 0; i--) state[at + i] = state[at + i - 1] as number;
  state[at] = item;
}

/** Takes the first item away. */
export function shift(state: Uint8Array, at: number, max: number): void {
  for (let i = 0; i + 1 < max; i++) state[at + i] = state[at + i + 1] as number;
  state[at + max - 1] = 0;
}

/** Puts `to` in the place of the first `from`. */
export function replace(state: Uint8Array, at: number, max: number, from: number, to: number): void {
  for (let i = 0; i < max; i++) {
    if (state[at + i] !== from) continue;
    state[at + i] = to;
    return;
  }
}

/** The items, as text. */
export function list(state: Uint8Array, at: number, max: number, name: (item: number) => string): string {
  const names: string[] = [];
  for (let i = 0; i < max && state[at + i]; i++) names.push(name(state[at + i] as number));
  return names.length > 0 ? names.join(' ') : 'empty';
}
