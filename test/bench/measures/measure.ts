// SPDX-License-Identifier: MIT
/** One thing that is measured on a system that has been set up. */
import type { Stage } from '../systems/system';

export type Values = Record<string, number>;

export interface Measure {
  /** Short and stable: names it in the JSON and in --only. */
  id: string;
  title: string;
  /** The value that tables and ratios are about. */
  main: string;
  unit: string;
  /** Whether more is better. */
  better: 'more' | 'less';
  /** Further values for columns of their own, with their headings. */
  columns?: Record<string, string>;
  run(stage: Stage): Promise<Values>;
}
