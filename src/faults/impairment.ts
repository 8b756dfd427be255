// SPDX-License-Identifier: MIT
/**
 * The words of `impair` as rules, for kernels without netem and for wires of tests. What netem does first comes first:
 * losses, duplicates, corruption, delay, rate.
 */
import { VnetError } from '../errors';
import { lineOf, netemOptionsOf } from '../impair/settings';
import { impairmentWords, parseImpairment } from '../impair/words';
import { SEED_MAX } from '../options/values';
import type { Effect, Faults, LineQueue, Match, Rule } from './rules';

export interface ImpairingFaults {
  faults: Faults;
  /** The most frames that may wait at a time; any more stay in the ring. */
  waitsMost: number;
}

type Options = ReturnType<typeof netemOptionsOf>;

/** What netem can do and rules cannot, by the words for it. */
const LACKING: readonly [words: string, isAsked: (options: Options) => boolean][] = [
  ['loss state', ({ loss }) => loss.model === 'state'],
  ['ecn', ({ ecn }) => ecn],
  ['slot', ({ slot }) => slot.least + slot.most + slot.packets + slot.bytes > 0],
  ['gap', ({ gap }) => gap > 1],
  ['distribution paretonormal', ({ delay }) => delay.jitter > 0 && delay.distribution === 'paretonormal'],
  ['overheads of a rate', ({ rate }) => rate.overhead !== 0 || rate.cell !== 0 || rate.cellOverhead !== 0],
  ['correlation of a jitter', ({ delay }) => delay.jitter > 0 && delay.correlation > 0],
  [
    'correlation of duplicate, corrupt or reorder',
    ({ duplicate, corrupt, reorder }) => [duplicate, corrupt, reorder].some(({ correlation }) => correlation > 0),
  ],
];

/** The queue of a wire. */
const WIRE_QUEUE: LineQueue = { queue: { ms: 100 }, targetMs: null, intervalMs: null };
/** The longest queue where a line has none of its own: the memory for frames that wait ends it. */
const NO_QUEUE: LineQueue = { queue: { ms: 3_600_000 }, targetMs: null, intervalMs: null };

/**
 * For an interface. As with netem, chance does not tell connections apart. Throws UNSUPPORTED for words that only netem
 * knows. `random`: the seed, if the words name none.
 */
export function impairingFaults(words: readonly string[], random: number): ImpairingFaults {
  const options = netemOptionsOf(words, 1);
  requireRules(options, 'impair', 'this kernel has no netem, without which it is not possible', {
    hint: 'modprobe sch_netem if it is a module; or leave it out',
  });
  const seed = options.seed === null ? random : Number(options.seed % BigInt(SEED_MAX));
  return { faults: { seed, rules: rulesOf(options, words, NO_QUEUE) }, waitsMost: options.limit };
}

/** For a wire, such as `3g` or `delay 20ms loss 1%`. Throws USAGE and UNSUPPORTED. */
export function wireRules(text: string): Rule[] {
  const words = impairmentWords(parseImpairment(text.trim().split(/\s+/)));
  const options = netemOptionsOf(words, 1);
  requireRules(options, 'wire', 'only netem can do that', { hint: 'impair() of an interface; or leave it out' });
  return rulesOf(options, words, WIRE_QUEUE);
}

function requireRules(options: Options, what: string, why: string, { hint }: { hint: string }): void {
  const lacking = LACKING.find(([, isAsked]) => isAsked(options));
  if (lacking) throw new VnetError('UNSUPPORTED', `${what}: ${lacking[0]}`, why, { hint });
}

/** `otherwise`: the queue of a line for which the words name none. */
function rulesOf(
  { loss, duplicate, corrupt, reorder, delay, rate }: Options,
  words: readonly string[],
  otherwise: LineQueue,
): Rule[] {
  const rules: Omit<Rule, 'id'>[] = [];
  const add = (effect: Effect, match: Match = {}): void => void rules.push({ match, effects: [effect] });
  if (loss.model === 'random' && loss.chance > 0) add({ kind: 'loss', probability: loss.chance });
  if (loss.model === 'gemodel')
    add({ kind: 'gemodel', p: loss.p, r: loss.r, bad: loss.lostWhenBad, good: loss.lostWhenGood });
  if (duplicate.chance > 0) add({ kind: 'duplicate', copies: 1 }, { probability: duplicate.chance });
  if (corrupt.chance > 0)
    add({ kind: 'corrupt', part: 'payload', bit: null, valid: false }, { probability: corrupt.chance });
  if (delay.time > 0 || delay.jitter > 0)
    add(
      {
        kind: 'delay',
        ms: delay.time / 1e6,
        jitterMs: delay.jitter / 1e6,
        distribution: delay.distribution === 'paretonormal' ? 'pareto' : delay.distribution,
        // The line keeps the order, as netem's does; without one, a frame with less jitter overtakes.
        unordered: true,
      },
      // Frames that are reordered go at once.
      reorder.chance > 0 ? { probability: 1 - reorder.chance } : {},
    );
  if (rate.bytes > 0) {
    const line = lineOf(words, 1);
    add({
      kind: 'rate',
      bitsPerSecond: rate.bytes * 8,
      ...(line ? { queue: { ms: line.queueMs }, targetMs: null, intervalMs: null } : otherwise),
    });
  }
  return rules.map((rule, i) => ({ id: i + 1, ...rule }));
}
