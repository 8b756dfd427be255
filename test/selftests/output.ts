// SPDX-License-Identifier: MIT
// What a selftest says about itself: an exit code, or lines in one of the two forms that kselftests print.

export type Verdict = 'pass' | 'fail' | 'skip';

export interface Result {
  readonly name: string;
  readonly verdict: Verdict;
  /** What a reader of a failure wants to see: the end of the output. */
  readonly detail: string;
}

/** How the results are found: in the exit code, in TAP, or in lines `PASS: name`. */
export type Form = 'exit' | 'tap' | 'lines';

/** KSFT_SKIP of kselftest.h. */
const SKIPPED = 4;
const DETAIL_LINES = 6;

/** Results of one run. A run that fails as a whole although no line says so has a failure of its own. */
export function resultsOf(name: string, form: Form, exit: number | null, output: string): Result[] {
  const detail = endOf(output, exit);
  const whole = (verdict: Verdict): Result => ({ name, verdict, detail });
  if (form === 'exit') return [whole(exit === 0 ? 'pass' : exit === SKIPPED ? 'skip' : 'fail')];
  const lines = output.split('\n').map((line) => line.trim());
  const results = numbered(lines.flatMap((line) => (form === 'tap' ? tapLine(name, line) : passLine(name, line))));
  if (results.length === 0) return [whole(exit === SKIPPED ? 'skip' : 'fail')];
  const unsaid = exit !== 0 && exit !== SKIPPED && !results.some(({ verdict }) => verdict === 'fail');
  return unsaid ? [...results, whole('fail')] : results;
}

function tapLine(name: string, line: string): Result[] {
  const match = /^(not )?ok\s+\d+\s*(?:-\s*)?(.*?)(?:\s*#\s*(SKIP|XFAIL|TODO)\b.*)?$/i.exec(line);
  if (!match) return [];
  const verdict = match[3] !== undefined ? 'skip' : match[1] !== undefined ? 'fail' : 'pass';
  return [{ name: `${name}: ${match[2]}`, verdict, detail: line }];
}

function passLine(name: string, line: string): Result[] {
  const match = /^(PASS|FAIL|SKIP|XFAIL): (?:[\w.-]+: )?(.*)$/.exec(line);
  if (!match) return [];
  const verdict = match[1] === 'PASS' ? 'pass' : match[1] === 'FAIL' ? 'fail' : 'skip';
  return [{ name: `${name}: ${match[2]}`, verdict, detail: line }];
}

/** Results are compared by name, so a name that comes again gets a number. */
function numbered(results: readonly Result[]): Result[] {
  const seen = new Map<string, number>();
  return results.map((result) => {
    const count = (seen.get(result.name) ?? 0) + 1;
    seen.set(result.name, count);
    return count === 1 ? result : { ...result, name: `${result.name} (${count})` };
  });
}

function endOf(output: string, exit: number | null): string {
  const last = output
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .slice(-DETAIL_LINES);
  return [...last, exit === null ? 'ran out of time' : `exit code ${exit}`].join('; ');
}
