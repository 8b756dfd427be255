// SPDX-License-Identifier: MIT
// Writes the results of all kernels as one TAP document, live, with one test point for each file on each kernel
// and one for each kernel as a whole; the line with the sum comes last.
import type { FileVerdict } from './file-verdict';
import type { Turn } from './turns';

export class Report {
  #points = 0;
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
    print('TAP version 14');
  }

  comment(text: string): void {
    for (const line of text.split('\n')) this.#print(`# ${line}`);
  }

  startFile(name: string): void {
    this.#print(`# Subtest: ${name}`);
  }

  /** A line of the running file's own TAP. */
  line(text: string): void {
    // A subtest carries no version of its own.
    if (text !== '' && !text.startsWith('TAP version')) this.#print(`    ${text}`);
  }

  endFile(name: string, verdict: FileVerdict): void {
    this.#passed += verdict.passed;
    this.#failed += verdict.failed;
    this.#skipped += verdict.skipped;
    this.#point(name, verdict.problems);
  }

  /** A point that is not a file: the kernel as a whole. */
  check(name: string, problems: readonly string[]): void {
    if (problems.length === 0) this.#passed++;
    else this.#failed++;
    this.#point(name, problems);
  }

  skip(name: string, why: string): void {
    this.#skipped++;
    this.#print(`ok ${++this.#points} - ${name} # SKIP ${why}`);
  }

  /** True when all is well. */
  end(): boolean {
    this.#print(`1..${this.#points}`);
    // Nothing run is not success.
    const ok = this.#failed === 0 && this.#passed > 0;
    this.#print(
      `${this.#passed} passed, ${this.#failed} failed${this.#skipped > 0 ? `, ${this.#skipped} skipped` : ''}`,
    );
    return ok;
  }

  #point(name: string, problems: readonly string[]): void {
    this.#print(`${problems.length === 0 ? 'ok' : 'not ok'} ${++this.#points} - ${name}`);
    if (problems.length === 0) return;
    this.#print('  ---');
    this.#print('  problems:');
    for (const problem of problems) this.#print(`    - ${JSON.stringify(problem)}`);
    this.#print('  ...');
  }
}

/** What one of several kernels that run side by side has to say, in its turn. */
export class KernelReport {
  readonly #report: Report;
  readonly #turn: Turn;
  readonly #sums: string[];

  /** `sums` gets a line for the end of the whole report. */
  constructor(report: Report, turn: Turn, sums: string[]) {
    this.#report = report;
    this.#turn = turn;
    this.#sums = sums;
  }

  comment(text: string): void {
    this.#turn.say(() => this.#report.comment(text));
  }

  startFile(name: string): void {
    this.#turn.say(() => this.#report.startFile(name));
  }

  line(text: string): void {
    this.#turn.say(() => this.#report.line(text));
  }

  endFile(name: string, verdict: FileVerdict): void {
    this.#turn.say(() => this.#report.endFile(name, verdict));
  }

  check(name: string, problems: readonly string[]): void {
    this.#turn.say(() => this.#report.check(name, problems));
  }

  skip(name: string, why: string): void {
    this.#turn.say(() => this.#report.skip(name, why));
  }

  console(show: () => void): void {
    this.#turn.say(show);
  }

  sum(text: string): void {
    this.#turn.say(() => this.#sums.push(text));
  }
}
