// SPDX-License-Identifier: MIT
/** Guesses which word was meant by one that nobody knows. */

/** The optimal string alignment distance: characters to insert, delete, replace, or swap with their neighbour. */
export function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, (last[j - 1] as number) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (beforeLast[j - 2] as number) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}

/** Mistakes that a word of that length may have: one in three characters. */
const mistakesIn = (word: string): number => Math.max(1, Math.floor(word.length / 3));
/** Longer words are nobody's typing error. */
const LENGTH_MAX = 64;
/** The beginning of a word, from this length on, stands for the word. */
const BEGINNING_MIN = 3;

/** The word that is nearest to `word`, or the only one that begins with it; null if none is near. */
export function closest(word: string, known: Iterable<string>): string | null {
  if (word === '' || word.length > LENGTH_MAX) return null;
  const asked = word.toLowerCase();
  const words = [...known];
  const distances = words.map((each) => ({ each, away: distance(asked, each.toLowerCase()) })).sort((a, b) => a.away - b.away);
  const [nearest] = distances;
  if (nearest && nearest.away <= Math.min(mistakesIn(asked), nearest.each.length - 1)) return nearest.each;
  const begun = asked.length < BEGINNING_MIN ? [] : words.filter((each) => each.toLowerCase().startsWith(asked));
  return begun.length === 1 ? (begun[0] as string) : null;
}

/** A hint: the word that may have been meant, as `shown` writes it, or else `otherwise`. */
export function didYouMean(word: string, known: Iterable<string>, otherwise: string, shown: (word: string) => string = (each) => each): string {
  const meant = closest(word, known);
  return meant === null ? otherwise : `did you mean ${shown(meant)}?`;
}
