// SPDX-License-Identifier: MIT
/**
 * Delta debugging: ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002). It finds
 * a part of a failing list from which nothing can be left out.
 *
 *   n parts:      does one of them fail by itself?      then go on with it, n = 2
 *   complements:  does the list fail without one part?  then go on without it, n - 1
 *   otherwise:    twice as many parts, until each is a single item
 */

/**
 * Finds a candidate that fails, perhaps the first; null if none does. What it returns may be a part of that candidate
 * that fails as well.
 */
export type FindFailing<T> = (candidates: Iterable<readonly T[]>) => Promise<readonly T[] | null>;

/**
 * The smallest part of `all` that is found. `all` itself fails, and the empty list does not. `onSmaller` is called for
 * each part that fails, before smaller ones are looked for.
 */
export async function ddmin<T>(
  all: readonly T[],
  find: FindFailing<T>,
  onSmaller: (part: readonly T[]) => void = () => undefined,
): Promise<readonly T[]> {
  let current = all;
  for (let count = 2; current.length > 1;) {
    const parts = split(current, count);
    const part = await find(parts);
    // With two parts, the complement of each is the other.
    const found = part ?? (count === 2 ? null : await find(complements(current, parts)));
    if (found !== null) {
      current = found;
      onSmaller(current);
      count = part === null ? Math.max(2, count - 1) : 2;
    } else if (count < current.length) count *= 2;
    else break;
    count = Math.min(count, Math.max(2, current.length));
  }
  return current;
}

/** The list without each of its parts in turn, made one by one: there may be thousands. */
function* complements<T>(all: readonly T[], parts: readonly (readonly T[])[]): Iterable<readonly T[]> {
  for (const part of parts) {
    const left = new Set(part);
    yield all.filter((item) => !left.has(item));
  }
}

/** Splits a list into that many parts, whose lengths differ by one at most. */
function split<T>(list: readonly T[], count: number): T[][] {
  const at = (part: number): number => Math.floor((part * list.length) / count);
  return Array.from({ length: count }, (_, part) => list.slice(at(part), at(part + 1)));
}
