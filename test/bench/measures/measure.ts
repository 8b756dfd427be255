// SPDX-License-Identifier: MIT
/** What is measured: a section is a table of the report, a measure fills some of its rows. */
import type { Stage } from '../systems/system';

export type Values = Record<string, number>;

export interface Column {
  key: string;
  heading: string;
  /** Significant digits in tables. */
  digits?: number;
}

export interface Section {
  /** Short and stable: names it in the JSON, in --only and in docs/benchmarks.md. */
  id: string;
  title: string;
  /** What ratios and plots are about; shown with its spread. */
  value: Column;
  /** Further columns, medians only. */
  more: readonly Column[];
  /** The system that the ratio column divides by, or null for a table without one. */
  baseline: string | null;
  /** Whether there is a plot of it, and which end of it is better. */
  plot: false | 'more is better' | 'less is better';
}

/** One value of one system in one round. */
export interface Sample {
  section: string;
  /** What was asked of the system: the row group. */
  load: string;
  system: string;
  round: number;
  values: Values;
}

export interface Measure {
  section: Section;
  load: string;
  run(stage: Stage): Promise<Values>;
}
