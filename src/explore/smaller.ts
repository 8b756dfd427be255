// SPDX-License-Identifier: MIT
/** What is smaller than an effect: fewer copies, a shorter delay or cut, fewer bytes that are missing. */
import type { Effect, EffectKind, EffectOf } from '../faults/rules';

/**
 * Milliseconds that are tried: a few for each power of ten, so that the result is a number that is easy to say, and
 * seldom one that only just fails.
 */
const TIMES_MS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000].flatMap((power) =>
  [1, 1.5, 2, 3, 5, 7].map((factor) => factor * power),
);

type Makers = { readonly [K in EffectKind]?: (effect: EffectOf<K>, frame: string) => readonly Effect[] };

const LESSER: Makers = {
  cut: () => [{ kind: 'drop' }],
  carrier: ({ ms }) => [{ kind: 'drop' }, { kind: 'cut', ms }],
  blackhole: () => [{ kind: 'drop' }],
  reset: ({ to }) =>
    to === 'both'
      ? [
          { kind: 'reset', to: 'client' },
          { kind: 'reset', to: 'server' },
        ]
      : [],
};

const SMALLER: Makers = {
  delay: (effect) => timesBelow(effect.ms).map((ms) => ({ ...effect, ms })),
  cut: (effect) => timesBelow(effect.ms).map((ms) => ({ ...effect, ms })),
  carrier: (effect) => timesBelow(effect.ms).map((ms) => ({ ...effect, ms })),
  duplicate: (effect) => upTo(effect.copies).map((copies) => ({ ...effect, copies })),
  reorder: (effect) => upTo(effect.by).map((by) => ({ ...effect, by })),
  truncate: (effect, frame) => {
    const length = leastLengthOf(frame);
    return upTo(length - effect.bytes).map((missing) => ({ ...effect, bytes: length - missing }));
  },
};

type Maker = (effect: Effect, frame: string) => readonly Effect[];

/** Other kinds of effects that are less than this one. The first that fails takes its place. */
export const lesser = (effect: Effect): readonly Effect[] =>
  (LESSER[effect.kind] as Maker | undefined)?.(effect, '') ?? [];

/**
 * The same effect with smaller values, the smallest first. What fails with one is expected to fail with larger ones.
 * `frame` is the frame's words in the log.
 */
export const smaller = (effect: Effect, frame: string): readonly Effect[] =>
  (SMALLER[effect.kind] as Maker | undefined)?.(effect, frame) ?? [];

const timesBelow = (limit: number): number[] => TIMES_MS.filter((ms) => ms < limit);

/** The numbers from 1 up to, not including, `end`. */
const upTo = (end: number): number[] => Array.from({ length: Math.max(0, end - 1) }, (_, i) => i + 1);

/** Bytes of headers that a frame has at least: Ethernet, IPv4, and TCP or UDP. */
const HEADER_BYTES = { tcp: 54, udp: 42 } as const;

/** Bytes that a frame had at least, by its words in the log, such as `udp 29 bytes`. */
function leastLengthOf(frame: string): number {
  const [, kind, payload = '0'] = /^(tcp|udp)?.*?(\d+) bytes?/.exec(frame) ?? [];
  return Number(payload) + (kind === 'tcp' || kind === 'udp' ? HEADER_BYTES[kind] : 0);
}

/**
 * The first of a list that fails, found by halving: whatever comes after one that fails is expected to fail. Null if
 * none of those tried fails.
 */
export async function firstThatFails<T>(list: readonly T[], fails: (item: T) => Promise<boolean>): Promise<T | null> {
  let found: T | null = null;
  for (let [from, to] = [0, list.length]; from < to;) {
    const middle = (from + to) >>> 1;
    const item = list[middle] as T;
    if (await fails(item)) {
      found = item;
      to = middle;
    } else from = middle + 1;
  }
  return found;
}
