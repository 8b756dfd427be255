// SPDX-License-Identifier: MIT
// Judges the TAP of one test file with a real parser: what passed, what failed and why, and what was skipped
// with or without a reason in the kernel table.
import { Parser, type FinalResults, type Result } from 'tap-parser';
import type { Kernel } from './kernels';

export interface FileVerdict {
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
      if (!this.#expected(name)) {
        problems.push(`skipped without a reason in test/vm/kernels.ts: ${name}${reason ? ` (${reason})` : ''}`);
      }
    }
    const skipped = this.#skips.length + results.todo;
    // The parser counts skipped ones as passed too.
    const passed = Math.max(0, results.pass - results.skip);
    const failed = results.fail === 0 && problems.length > 0 ? 1 : results.fail;
    return { passed, failed, skipped, problems };
  }

  #expected(name: string): boolean {
    return this.#kernel.skips.some((skip) => skip.test?.test(name) && (skip.file?.test(this.#file) ?? true));
  }

  /** Skips count wherever they are, also inside of tests that pass as a whole. */
  #watch(parser: Parser): void {
    parser.on('assert', (result: Result) => {
      if (result.skip) this.#skips.push({ name: result.fullname, reason: result.skip === true ? '' : result.skip });
    });
    parser.on('child', (child: Parser) => this.#watch(child));
  }
}

function describe(failure: FinalResults['failures'][number]): string {
  if ('fullname' in failure && failure.fullname) return `not ok: ${failure.fullname}`;
  return failure.tapError ?? 'not ok';
}
