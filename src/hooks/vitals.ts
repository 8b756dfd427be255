// SPDX-License-Identifier: MIT
/** What the thread of a hook lets the main thread see at any time, and leaves behind when it dies. */

/** Words of a shared array. */
export const VITALS = {
  /** Changes at least once a second while the thread returns to its event loop. */
  beat: 0,
  /** frameMark() of the frame that the hook is judging; 0: none. */
  judging: 1,
  words: 2,
} as const;

export const newVitals = (): Int32Array => new Int32Array(new SharedArrayBuffer(VITALS.words * 4));

const MARKS = 2 ** 31 - 1;

/** Tells frames apart that are in the ring at the same time, by how many left it before each; never 0. */
export const frameMark = (number: number): number => (number % MARKS) + 1;
