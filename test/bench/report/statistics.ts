// SPDX-License-Identifier: MIT
/** Medians and spread of a few rounds. */

/** The value at a part (0 to 1) of the sorted values, interpolated; NaN of none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Summary {
  rounds: number;
  median: number;
  min: number;
  max: number;
}

export function summary(values: readonly number[]): Summary {
  return { rounds: values.length, median: median(values), min: quantile(values, 0), max: quantile(values, 1) };
}
