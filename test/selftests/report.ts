// SPDX-License-Identifier: MIT
// The table of results, as it appears in README.md.
import type { Result } from './output';

export interface Row {
  readonly test: string;
  readonly control: string;
  readonly vnet0: string;
  readonly seconds: number;
}

/** `12 of 13` or `12 of 13 (2 skipped)`: how many of the results that were not skipped have passed. */
export function countsOf(results: readonly Result[]): string {
  const count = (verdict: Result['verdict']): number => results.filter((result) => result.verdict === verdict).length;
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')];
  return `${passed} of ${passed + failed}${skipped > 0 ? ` (${skipped} skipped)` : ''}`;
}

export function summary(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ test, control, vnet0, seconds }) => `| ${test} | ${control} | ${vnet0} | ${seconds.toFixed(0)} s |`,
  );
  return ['| selftest | control | vnet0 | time for both |', '| --- | --- | --- | --- |', ...lines].join('\n');
}
