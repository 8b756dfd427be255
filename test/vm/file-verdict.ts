// SPDX-License-Identifier: MIT
// Judges the TAP of one test file with a real parser: what passed, what failed and why, and what was skipped
// with or without a reason in the kernel table.
import { Parser, type FinalResults, type Result } from 'tap-parser';
import type { Kernel } from './kernels';

/** Counts of assertions that really ran, wherever they are; a subtest is not one. */
export interface Count {
  passed: number;
  failed: number;
  /** The reasons that were given. */
  skips: { name: string; reason: string }[];
}

/** What the table in docs/kernels.md says of one test of a file. */
export interface TestVerdict extends Count {
  readonly name: string;
}

export interface FileVerdict {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** One line each; a file with problems has failed, even if each of its tests passed. */
  readonly problems: readonly string[];
  /** Its tests of the top level. */
  readonly tests: readonly TestVerdict[];
}

const nothing = (): Count => ({ passed: 0, failed: 0, skips: [] });

export class FileJudge {
  readonly #kernel: Kernel;
  readonly #file: string;
  readonly #parser = new Parser();
  readonly #results: Promise<FinalResults>;
  #silent = true;
  readonly #sum = nothing();
  readonly #tests: TestVerdict[] = [];

  constructor(kernel: Kernel, file: string) {
    this.#kernel = kernel;
    this.#file = file;
    this.#results = new Promise((resolve) => this.#parser.on('complete', resolve));
    watch(this.#parser, this.#sum, (test) => this.#tests.push(test));
  }

  line(text: string): void {
    this.#silent &&= text.trim() === '';
    this.#parser.write(`${text}\n`);
  }

  /** `exit`: of the process; undefined when the guest ended before the file did. */
  async end(exit: number | undefined): Promise<FileVerdict> {
    this.#parser.end();
    const results = await this.#results;
    const problems: string[] = [];
    if (exit === undefined) problems.push('cut off');
    else if (exit === 137) problems.push('killed: it ran longer than its time limit');
    else if (exit !== 0) problems.push(`exited with ${exit}`);
    if (results.bailout) problems.push(`bailed out: ${results.bailout}`);
    for (const failure of results.failures) problems.push(describe(failure));
    // The parser takes silence for a plan of nothing, skipped.
    if (this.#silent) problems.push('no tests');
    else if (results.plan.skipAll) this.#sum.skips.push({ name: this.#file, reason: results.plan.skipReason });
    else if (results.count === 0 && problems.length === 0) problems.push('no tests');
    if (!results.ok && problems.length === 0) problems.push('not ok');
    for (const { name, reason } of this.#sum.skips) {
      if (!this.#kernel.skips.some(({ because }) => because.test(reason))) {
        problems.push(`skipped without a reason in test/vm/kernels.ts: ${name}${reason ? ` (${reason})` : ''}`);
      }
    }
    const skipped = this.#sum.skips.length + results.todo;
    const failed = Math.max(this.#sum.failed, problems.length > 0 ? 1 : 0);
    return { passed: this.#sum.passed, failed, skipped, problems, tests: this.#tests };
  }
}

/** Adds what the parser finds to `here`; `onTest` gets each test of this level with all that is in it. */
function watch(parser: Parser, here: Count, onTest: (test: TestVerdict) => void = () => {}): void {
  let inside: Count | undefined;
  parser.on('child', (child: Parser) => {
    inside = nothing();
    watch(child, inside);
  });
  parser.on('assert', (result: Result) => {
    const count = inside ?? nothing();
    if (result.skip) count.skips.push({ name: result.fullname, reason: result.skip === true ? '' : result.skip });
    else if (!result.ok && !result.todo && count.failed === 0) count.failed = 1;
    else if (!inside && result.ok) count.passed = 1;
    inside = undefined;
    here.passed += count.passed;
    here.failed += count.failed;
    here.skips.push(...count.skips);
    onTest({ name: result.name, ...count });
  });
}

function describe(failure: FinalResults['failures'][number]): string {
  if ('fullname' in failure && failure.fullname) return `not ok: ${failure.fullname}`;
  return failure.tapError ?? 'not ok';
}
