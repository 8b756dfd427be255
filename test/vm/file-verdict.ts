// SPDX-License-Identifier: MIT
// Judges the TAP of one test file with a real parser: what passed, what failed and why, and what was skipped
// with or without a reason in the kernel table.
import { Parser, type FinalResults, type Result } from 'tap-parser';
import type { Kernel } from './kernels';

export interface FileVerdict {
  /** Assertions that really ran, wherever they are; a subtest is not one. */
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** One line each; a file with problems has failed, even if each of its tests passed. */
  readonly problems: readonly string[];
}

export class FileJudge {
  readonly #kernel: Kernel;
  readonly #file: string;
  readonly #parser = new Parser();
  readonly #results: Promise<FinalResults>;
  #silent = true;
  #passed = 0;
  #failed = 0;
  readonly #skips: { name: string; reason: string }[] = [];

  constructor(kernel: Kernel, file: string) {
    this.#kernel = kernel;
    this.#file = file;
    this.#results = new Promise((resolve) => this.#parser.on('complete', resolve));
    this.#watch(this.#parser);
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
    else if (results.plan.skipAll) this.#skips.push({ name: this.#file, reason: results.plan.skipReason });
    else if (results.count === 0 && problems.length === 0) problems.push('no tests');
    if (!results.ok && problems.length === 0) problems.push('not ok');
    for (const { name, reason } of this.#skips) {
      if (!this.#kernel.skips.some(({ because }) => because.test(reason))) {
        problems.push(`skipped without a reason in test/vm/kernels.ts: ${name}${reason ? ` (${reason})` : ''}`);
      }
    }
    const skipped = this.#skips.length + results.todo;
    const failed = Math.max(this.#failed, problems.length > 0 ? 1 : 0);
    return { passed: this.#passed, failed, skipped, problems };
  }

  #watch(parser: Parser): void {
    let isSubtest = false;
    parser.on('child', (child: Parser) => {
      isSubtest = true;
      this.#watch(child);
    });
    parser.on('assert', (result: Result) => {
      if (result.skip) this.#skips.push({ name: result.fullname, reason: result.skip === true ? '' : result.skip });
      else if (!isSubtest && !result.todo) result.ok ? this.#passed++ : this.#failed++;
      isSubtest = false;
    });
  }
}

function describe(failure: FinalResults['failures'][number]): string {
  if ('fullname' in failure && failure.fullname) return `not ok: ${failure.fullname}`;
  return failure.tapError ?? 'not ok';
}
