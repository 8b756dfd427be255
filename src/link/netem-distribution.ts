// SPDX-License-Identifier: MIT
/**
 * Tables of netem's jitters: entry i of n is the value that a fraction of i/n stays below, in units of the jitter, times
 * NETEM_DIST_SCALE. tc reads the same from files of iproute2.
 */
export type Distribution = 'uniform' | 'normal' | 'pareto' | 'paretonormal';

const NETEM_DIST_SCALE = 8192;
/** The kernel takes up to 16384. */
const ENTRIES = 4096;
const S16_MAX = 32767;
/** The shape of the Pareto distribution, that of iproute2: mean 1.5, standard deviation 0.75 times the square root of 4/3. */
const SHAPE = 3;
const SHAPE_MEAN = SHAPE / (SHAPE - 1);
const SHAPE_SCALE = 4 / 3;

const pareto = (fraction: number): number => ((1 - fraction) ** (-1 / SHAPE) - SHAPE_MEAN) * SHAPE_SCALE;

/** The quantiles of the normal distribution: the sum of its density, in steps, up to each fraction. */
function normals(): number[] {
  const step = 1e-3;
  const values: number[] = [];
  let sum = 0;
  for (let z = -4; values.length < ENTRIES; z += step) {
    sum += (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * step;
    while (values.length < ENTRIES && (sum >= (values.length + 0.5) / ENTRIES || z > 4)) values.push(z);
  }
  return values;
}

/** The kernel's own way without a table is even, from minus to plus the jitter. */
const MAKE: Readonly<Record<Distribution, () => number[]>> = {
  uniform: () => fractions().map((fraction) => 2 * fraction - 1),
  normal: normals,
  pareto: () => fractions().map(pareto),
  // As in iproute2: a quarter normal, three quarters Pareto.
  paretonormal: () => {
    const normal = normals();
    return fractions().map((fraction, i) => 0.25 * (normal[i] as number) + 0.75 * pareto(fraction));
  },
};

const fractions = (): number[] => Array.from({ length: ENTRIES }, (_, i) => (i + 0.5) / ENTRIES);

export const distributionTable = (distribution: Distribution): Int16Array =>
  Int16Array.from(MAKE[distribution](), (value) => Math.max(-S16_MAX, Math.min(S16_MAX, Math.round(value * NETEM_DIST_SCALE))));
