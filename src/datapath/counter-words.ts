// SPDX-License-Identifier: MIT
/** Counters in words, as lines of `stats` and the details of `top` show them; the words are in COUNTERS (stats.ts). */
import { COUNTERS, type NumberPath, type Stats } from './stats';

type GroupOf<P> = P extends `${infer Group}.${string}` ? Group : never;
export type CounterGroup = GroupOf<NumberPath>;

/** The numbers of a group with their words, such as `12 polls`; those named in `first` come before the others. */
export function worded(
  stats: Stats,
  group: CounterGroup,
  where: 'stats' | 'top',
  first: readonly string[] = [],
): string[] {
  const counts = stats[group] as unknown as Readonly<Record<string, number>>;
  const names = [...first, ...Object.keys(counts).filter((name) => !first.includes(name))];
  const texts: string[] = [];
  for (const name of names) {
    const words = COUNTERS[`${group}.${name}` as NumberPath][where];
    if (words === undefined) continue;
    const before = texts.at(-1)?.endsWith(',') ? `${texts.pop()} ` : '';
    texts.push(`${before}${counts[name]} ${words}`);
  }
  return texts;
}
