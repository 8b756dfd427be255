// SPDX-License-Identifier: MIT
/**
 * netem's correlated random numbers: each is a mean of a new one and the last, weighted by the correlation (get_crandom in
 * net/sched/sch_netem.c). They gather about one half, so that few are small: of `loss 3% 25%` netem loses 0.03 %.
 */
import type { GilbertElliott } from '../link/netem-options';

const STEPS = 1 << 13;
/** As many take 40 ms, and they are needed for small correlations alone, whose numbers are least like a normal distribution. */
const ROUNDS_MAX = 60;
const PRECISE = 1e-9;

/**
 * The chance to tell netem for one that is to be met: the value below which that fraction of its correlated numbers lies.
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

/** Entry i is the fraction of numbers below i/STEPS: the one that taking the mean with an even number leaves as it is. */
function distribution(correlation: number): Float64Array {
  let below = normal(Math.sqrt((1 - correlation) / (1 + correlation) / 12));
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const sum = new Float64Array(STEPS + 1);
    for (let i = 1; i <= STEPS; i++) sum[i] = (sum[i - 1] as number) + ((below[i - 1] as number) + (below[i] as number)) / 2;
    /** The integral up to a place in steps: beyond either end it is 0 below, and 1 above. */
    const integral = (at: number): number => {
      if (at <= 0) return 0;
      if (at >= STEPS) return (sum[STEPS] as number) + at - STEPS;
      const whole = Math.floor(at);
      return (sum[whole] as number) + (at - whole) * (below[whole] as number);
    };
    let moved = 0;
    const next = Float64Array.from(below, (old, i) => {
      const value = ((integral(i / correlation) - integral((i - (1 - correlation) * STEPS) / correlation)) * correlation) / ((1 - correlation) * STEPS);
      moved = Math.max(moved, Math.abs(value - old));
      return value;
    });
    below = next;
    if (moved < PRECISE) break;
  }
  return below;
}

/** To begin with: the normal distribution of the same mean and deviation. */
function normal(deviation: number): Float64Array {
  const below = new Float64Array(STEPS + 1);
  for (let i = 1; i <= STEPS; i++) below[i] = (below[i - 1] as number) + Math.exp(-((((i - 0.5) / STEPS - 0.5) / deviation) ** 2) / 2);
  const all = below[STEPS] as number;
  return below.map((sum) => sum / all);
}

/**
 * Two states of which one loses everything: as many losses as asked for, and a frame that follows a lost one is lost with
 * `correlation` more than by chance. Bursts have 1 / ((1 - chance) * (1 - correlation)) frames on average.
 */
export const burstsOf = (chance: number, correlation: number): GilbertElliott => ({
  model: 'gemodel',
  p: chance * (1 - correlation),
  r: (1 - chance) * (1 - correlation),
  lostWhenBad: 1,
  lostWhenGood: 0,
});
