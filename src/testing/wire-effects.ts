// SPDX-License-Identifier: MIT
/** Kinds of wires, in the words of `vnet-bpf impair`, as effects of a rule of faults. */
import { usageError } from '../errors';
import type { Effect } from '../faults/rules';
import { burstsOf } from '../impair/settings';
import { bitsOf, fractionOf, nanosecondsOf, parseImpairment, type Parameter } from '../impair/words';

/** The words that have an effect here. */
const KNOWN: readonly Parameter[] = ['delay', 'loss', 'rate', 'queue'];
/** The queue of a line unless the words name one, in milliseconds. */
const QUEUE_MS = 100;

const msOf = (text: string): number => nanosecondsOf(text) / 1e6;

/** The effects of a wire, such as `3g` or `delay 20ms loss 1%`. Throws USAGE for words that mean nothing here. */
export function wireEffects(text: string): Effect[] {
  const words = parseImpairment(text.trim().split(/\s+/));
  const other = [...words.keys()].find((word) => !KNOWN.includes(word));
  if (other !== undefined)
    throw usageError(
      `wire "${text}"`,
      `${other} is not a word of a wire here`,
      `${KNOWN.join(', ')}, or rules of faults`,
    );
  const [ms, jitter] = words.get('delay') ?? [];
  const [rate] = words.get('rate') ?? [];
  const [queue] = words.get('queue') ?? [];
  return [
    ...lossOf(text, words.get('loss')),
    ...(ms === undefined
      ? []
      : [
          {
            kind: 'delay' as const,
            ms: msOf(ms),
            jitterMs: jitter === undefined ? 0 : msOf(jitter),
            distribution: 'uniform' as const,
            unordered: false,
          },
        ]),
    ...(rate === undefined
      ? []
      : [
          {
            kind: 'rate' as const,
            bitsPerSecond: bitsOf(rate),
            queue: { ms: queue === undefined ? QUEUE_MS : msOf(queue) },
          },
        ]),
  ];
}

function lossOf(text: string, loss: readonly string[] | undefined): Effect[] {
  const [first, second] = loss ?? [];
  if (first === undefined) return [];
  if (!first.endsWith('%'))
    throw usageError(
      `wire "${text}"`,
      `loss ${first} is not a loss of a wire here`,
      'loss PERCENT, or rules of faults',
    );
  const chance = fractionOf(first);
  if (chance === 0) return [];
  if (second === undefined) return [{ kind: 'loss', probability: chance }];
  const { p, r } = burstsOf(chance, fractionOf(second));
  return [{ kind: 'gemodel', p, r, bad: 1, good: 0 }];
}
