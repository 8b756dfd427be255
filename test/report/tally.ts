// SPDX-License-Identifier: MIT
/** What is counted. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

export const nothing = (): Tally => ({ passed: 0, failed: 0, skipped: 0 });

export function add(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** `12 passed, 0 failed`, and `, 3 skipped` where some were. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
