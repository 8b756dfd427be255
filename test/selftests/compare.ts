// SPDX-License-Identifier: MIT
// Which results on vnet0 are its own fault: what fails there and passes on the control, unless there is a reason.
import type { Tally } from '../report/tally';
import type { Result } from './output';

/** Something that fails on vnet0 alone, and may. */
export interface Exception {
  readonly test: string;
  /** Of the names of results. */
  readonly result: RegExp;
  readonly reason: string;
}

/** The results of one selftest on both interfaces. */
export interface Run {
  readonly test: string;
  readonly control: readonly Result[];
  readonly vnet0: readonly Result[];
  /** What `stats --check` said afterwards, if it did not balance. */
  readonly unbalanced?: string | undefined;
}

export interface Judgement extends Tally {
  /** One line each. */
  readonly problems: readonly string[];
  readonly excused: readonly string[];
}

/**
 * A result that fails on both, or is skipped on vnet0, counts as skipped. `stale` exceptions are a problem: whoever
 * fixes the cause also removes the line.
 */
export function judge(runs: readonly Run[], exceptions: readonly Exception[]): Judgement {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const problems: string[] = [];
  const excused: string[] = [];
  const used = new Set<Exception>();
  const fail = (problem: string): void => {
    tally.failed++;
    problems.push(problem);
  };

  for (const { test, control, vnet0, unbalanced } of runs) {
    const onControl = new Map(control.map((result) => [result.name, result]));
    const names = new Set(vnet0.map(({ name }) => name));
    for (const { name, verdict, detail } of vnet0) {
      if (verdict === 'pass') tally.passed++;
      else if (onControl.get(name)?.verdict !== 'pass') tally.skipped++;
      else {
        const exception = exceptions.find((one) => one.test === test && one.result.test(name));
        if (exception) {
          used.add(exception);
          tally.skipped++;
          excused.push(`${test}, ${name}: ${exception.reason}`);
        } else
          fail(
            `${test}, ${name}: ${verdict === 'skip' ? 'skipped' : 'fails'} on vnet0 and passes on the control: ${detail}`,
          );
      }
    }
    for (const { name, verdict } of control)
      if (verdict === 'pass' && !names.has(name)) fail(`${test}, ${name}: did not run on vnet0`);
    if (unbalanced !== undefined) fail(`${test}: the frame accounting of vnet0: ${unbalanced}`);
  }
  for (const exception of exceptions) {
    const ran = runs.some(({ test }) => test === exception.test);
    if (ran && !used.has(exception))
      fail(
        `${exception.test}, ${String(exception.result)}: is in the list of exceptions and no longer fails on vnet0 alone`,
      );
  }
  if (tally.passed === 0) fail('nothing passed on vnet0');
  return { ...tally, problems, excused };
}
