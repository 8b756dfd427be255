// SPDX-License-Identifier: MIT
/** The options of netem for the words of `vnet-bpf impair`, and the tc command that a user could type instead. */
import type { Chance, Distribution, GilbertElliott, NetemOptions } from '../link/netem';
import { bitsOf, fractionOf, type Impairment, nanosecondsOf, parseImpairment } from './words';

// netem's correlated random numbers. Each is a mean of a new number and the last one, weighted by the correlation
// (get_crandom in net/sched/sch_netem.c). They gather around one half, so few are small: with `loss 3% 25%` netem loses
// 0.03 %.

const STEPS = 1 << 13;
/**
 * The most rounds of the approximation, which take 40 ms. Only small correlations need that many: their numbers are
 * least like a normal distribution.
 */
const ROUNDS_MAX = 60;
const PRECISE = 1e-9;

/**
 * The chance to give netem so that `chance` is met: the value below which that fraction of its correlated numbers lies.
 * `correlation` is below 1.
 */
export function chanceOfCorrelated(chance: number, correlation: number): number {
  if (correlation === 0 || chance <= 0 || chance >= 1) return chance;
  if (chance > 0.5) return 1 - chanceOfCorrelated(1 - chance, correlation);
  const below = distribution(correlation);
  let high = 1;
  while ((below[high] as number) < chance) high++;
  const [before, after] = [below[high - 1] as number, below[high] as number];
  return (high - 1 + (chance - before) / (after - before)) / STEPS;
}

/**
 * The distribution of the correlated numbers: entry i is the fraction of numbers below i/STEPS. It is the distribution
 * that does not change by taking the mean with an evenly distributed number.
 */
function distribution(correlation: number): Float64Array {
  let below = normal(Math.sqrt((1 - correlation) / (1 + correlation) / 12));
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const sum = new Float64Array(STEPS + 1);
    for (let i = 1; i <= STEPS; i++)
      sum[i] = (sum[i - 1] as number) + ((below[i - 1] as number) + (below[i] as number)) / 2;
    /** The integral up to a place, in steps: the distribution is 0 below its range, and 1 above. */
    const integral = (at: number): number => {
      if (at <= 0) return 0;
      if (at >= STEPS) return (sum[STEPS] as number) + at - STEPS;
      const whole = Math.floor(at);
      return (sum[whole] as number) + (at - whole) * (below[whole] as number);
    };
    let moved = 0;
    const next = Float64Array.from(below, (old, i) => {
      const value =
        ((integral(i / correlation) - integral((i - (1 - correlation) * STEPS) / correlation)) * correlation) /
        ((1 - correlation) * STEPS);
      moved = Math.max(moved, Math.abs(value - old));
      return value;
    });
    below = next;
    if (moved < PRECISE) break;
  }
  return below;
}

/** Where the approximation starts: the normal distribution with the same mean and deviation. */
function normal(deviation: number): Float64Array {
  const below = new Float64Array(STEPS + 1);
  for (let i = 1; i <= STEPS; i++)
    below[i] = (below[i - 1] as number) + Math.exp(-((((i - 0.5) / STEPS - 0.5) / deviation) ** 2) / 2);
  const all = below[STEPS] as number;
  return below.map((sum) => sum / all);
}

/**
 * Two states, of which one loses everything: as many losses as asked for, and a frame after a lost one is lost with
 * `correlation` more than by chance. Bursts have 1 / ((1 - chance) * (1 - correlation)) frames on average.
 */
export const burstsOf = (chance: number, correlation: number): GilbertElliott => ({
  model: 'gemodel',
  p: chance * (1 - correlation),
  r: (1 - chance) * (1 - correlation),
  lostWhenBad: 1,
  lostWhenGood: 0,
});

/** The smallest limit in frames: netem's own default. */
const LIMIT_LEAST = 1000;
/** The largest limit in frames: of 1500 bytes each, they take half a gigabyte. */
const LIMIT_MOST = 200_000;
/** Frames a second that are delayed without filling netem; any more wait in the ring. */
const FRAMES_A_SECOND = 200_000;
const SMALLEST_FRAME_BITS = 64 * 8;
/** Bits of a frame of the default MTU. */
const FULL_FRAME_BITS = 1514 * 8;
/** The smallest queue in frames: a line that accepts fewer lets nothing through. */
const QUEUE_LEAST = 4;

/**
 * The line and its queue; a frame that finds the queue full is lost and does not wait. Null without `queue`. `queues`
 * is the number of queues of the interface.
 */
export function lineOf(words: readonly string[], queues: number): { bytesPerSecond: number; queueMs: number } | null {
  const impairment = parseImpairment(words);
  const [queue] = impairment.get('queue') ?? [];
  if (queue === undefined) return null;
  const { rate, duplicate } = optionsOf(impairment, queues);
  return {
    bytesPerSecond: rate.bytes / (1 + duplicate.chance),
    queueMs: queues > 1 ? Infinity : nanosecondsOf(queue) / 1e6,
  };
}

/** Whether netem's counter of drops counts frames that it only marks. */
export const marksFrames = (words: readonly string[] | null): boolean => words !== null && words.includes('ecn');

/** The options of netem for the words of impairmentWords(). */
export const netemOptionsOf = (words: readonly string[], queues: number): NetemOptions =>
  optionsOf(parseImpairment(words), queues);

function optionsOf(impairment: Impairment, queues: number): NetemOptions {
  const of = (name: Parameters<Impairment['get']>[0]): readonly string[] => impairment.get(name) ?? [];
  const [time = '0s', jitter = '0s', correlation = '0%'] = of('delay');
  const [rate, ...overheads] = of('rate');
  const [overhead = 0, cell = 0, cellOverhead = 0] = overheads.map(Number);
  const reorder = chanceOf(of('reorder'));
  const [seed] = of('seed');
  return {
    limit: limitOf(impairment, queues),
    delay: {
      time: nanosecondsOf(time),
      jitter: nanosecondsOf(jitter),
      correlation: fractionOf(correlation),
      distribution: (of('distribution')[0] as Distribution | undefined) ?? 'uniform',
    },
    loss: lossOf(of('loss')),
    ecn: impairment.has('ecn'),
    duplicate: chanceOf(of('duplicate')),
    corrupt: chanceOf(of('corrupt')),
    reorder,
    gap: reorder.chance > 0 ? Number(of('gap')[0] ?? 1) : 0,
    rate: { bytes: rate === undefined ? 0 : Math.max(1, Math.round(bitsOf(rate) / 8)), overhead, cell, cellOverhead },
    slot: slotOf(of('slot')),
    seed: seed === undefined ? null : BigInt(seed),
  };
}

function chanceOf([chance = '0%', correlation = '0%']: readonly string[]): Chance {
  const wanted = fractionOf(chance);
  const correlated = fractionOf(correlation);
  if (wanted === 0 || wanted === 1) return { chance: wanted, correlation: 0 };
  return { chance: chanceOfCorrelated(wanted, correlated), correlation: correlated };
}

/** The loss model of the words. Values that are left out are those that tc assumes. */
function lossOf([first = '0%', ...more]: readonly string[]): NetemOptions['loss'] {
  const chances = more.map(fractionOf);
  if (first === 'gemodel') {
    const [p = 0, r = 1 - p, lostWhenBad = 1, lostWhenGood = 0] = chances;
    return { model: 'gemodel', p, r, lostWhenBad, lostWhenGood };
  }
  if (first === 'state') {
    const [p13 = 0, p31 = 1 - p13, p32 = 0, p23 = 1, p14 = 0] = chances;
    return { model: 'state', p13, p31, p32, p23, p14 };
  }
  const chance = fractionOf(first);
  const [correlation = 0] = chances;
  return correlation > 0 && chance > 0 && chance < 1 ? burstsOf(chance, correlation) : { model: 'random', chance };
}

function slotOf(values: readonly string[]): NetemOptions['slot'] {
  const valueAfter = (word: string): number => (values.includes(word) ? Number(values[values.indexOf(word) + 1]) : 0);
  const [least = '0s', most = least] = values.filter((value) => /^[\d.]+[a-z]+$/.test(value));
  return {
    least: nanosecondsOf(least),
    most: nanosecondsOf(most),
    packets: valueAfter('packets'),
    bytes: valueAfter('bytes'),
  };
}

/**
 * The limit in frames: as many as can be under way at a time, so that the delay is what was asked for. The poller
 * watches a queue in bytes; if there are several pollers, netem has to do it, in frames.
 */
function limitOf(impairment: Impairment, queues: number): number {
  const [limit] = impairment.get('limit') ?? [];
  if (limit !== undefined) return Number(limit);
  const [time = '0s', jitter = '0s'] = impairment.get('delay') ?? [];
  const [queue = '0s'] = impairment.get('queue') ?? [];
  const seconds = [time, jitter, queue].reduce((sum, value) => sum + nanosecondsOf(value), 0) / 1e9;
  const [rate] = impairment.get('rate') ?? [];
  const bits = rate === undefined ? Infinity : bitsOf(rate);
  if (impairment.has('queue') && queues > 1)
    return Math.max(QUEUE_LEAST, Math.ceil((seconds * bits) / FULL_FRAME_BITS));
  const underWay = seconds * Math.min(FRAMES_A_SECOND, bits / SMALLEST_FRAME_BITS);
  return Math.min(LIMIT_MOST, LIMIT_LEAST + Math.ceil(underWay));
}

/** The words of tc(8) for the same options; those that change nothing are left out. */
export function tcWords(words: readonly string[], queues: number): string[] {
  const { limit, delay, loss, ecn, duplicate, corrupt, reorder, gap, rate, slot, seed } = netemOptionsOf(words, queues);
  const time = (ns: number): string =>
    ns % 1e6 === 0 ? `${ns / 1e6}ms` : ns % 1e3 === 0 ? `${ns / 1e3}us` : `${ns}ns`;
  const percent = (fraction: number): string => `${Number((fraction * 100).toFixed(6))}%`;
  const correlated = (name: string, { chance, correlation }: Chance): string[] =>
    chance === 0 ? [] : [name, percent(chance), ...(correlation > 0 ? [percent(correlation)] : [])];
  const { time: late, jitter, correlation, distribution } = delay;
  return [
    ...['limit', String(limit)],
    ...(late > 0 || jitter > 0
      ? [
          'delay',
          time(late),
          ...(jitter > 0 ? [time(jitter)] : []),
          ...(jitter > 0 && correlation > 0 ? [percent(correlation)] : []),
        ]
      : []),
    ...(jitter > 0 && distribution !== 'uniform' ? ['distribution', distribution] : []),
    ...lossWords(loss, percent),
    ...(ecn ? ['ecn'] : []),
    ...correlated('duplicate', duplicate),
    ...correlated('corrupt', corrupt),
    ...correlated('reorder', reorder),
    ...(gap > 1 ? ['gap', String(gap)] : []),
    ...(rate.bytes > 0 ? ['rate', `${rate.bytes * 8}bit`, ...rateOverheads(rate)] : []),
    ...(slot.least > 0 || slot.most > 0 ? ['slot', time(slot.least), time(slot.most)] : []),
    ...(slot.packets > 0 ? ['packets', String(slot.packets)] : []),
    ...(slot.bytes > 0 ? ['bytes', String(slot.bytes)] : []),
    ...(seed === null ? [] : ['seed', String(seed)]),
  ];
}

function lossWords(loss: NetemOptions['loss'], percent: (fraction: number) => string): string[] {
  if (loss.model === 'random') return loss.chance > 0 ? ['loss', percent(loss.chance)] : [];
  const chances =
    loss.model === 'gemodel'
      ? [loss.p, loss.r, loss.lostWhenBad, loss.lostWhenGood]
      : [loss.p13, loss.p31, loss.p32, loss.p23, loss.p14];
  return ['loss', loss.model, ...chances.map(percent)];
}

const rateOverheads = ({ overhead, cell, cellOverhead }: NetemOptions['rate']): string[] =>
  overhead || cell || cellOverhead ? [overhead, cell, cellOverhead].map(String) : [];
