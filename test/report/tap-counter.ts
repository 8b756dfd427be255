// SPDX-License-Identifier: MIT
/**
 * Counts the leaves of a TAP stream: assertions, not the lines that sum a subtest up. A subtest
 * that is not ok although no assertion in it failed (a plan that was not kept, a timeout) counts
 * as one failure.
 */
import { EventEmitter } from 'node:events';

import { Parser, type FinalResults, type Result } from 'tap-parser';

import { nothing, type Tally } from './tally';

export interface Failure {
  /** The test's names from the file down. */
  name: string;
  /** What TAP says about it, as YAML would have it. */
  diagnostics: unknown;
}

export interface FileResult extends Tally {
  file: string;
  milliseconds: number;
  failures: Failure[];
  /** The reasons for which something was skipped. */
  reasons: Set<string>;
}

interface Level extends Tally {
  failures: Failure[];
  reasons: Set<string>;
}

interface CounterEvents {
  /** A test file has ended. */
  file: [FileResult];
}

const level = (): Level => ({ ...nothing(), failures: [], reasons: new Set() });

/** Feed it TAP line by line; it says what each file gave. */
export class TapCounter extends EventEmitter<CounterEvents> {
  private readonly parser = new Parser();
  private readonly whole = level();
  private readonly ended: Promise<FinalResults>;

  constructor() {
    super();
    this.ended = new Promise((resolve) => this.parser.on('complete', resolve));
    this.watch(this.parser, this.whole, 0);
  }

  write(text: string): void {
    this.parser.write(text);
  }

  /** The count of everything; includes failures that belong to no file. */
  async end(): Promise<Tally & { failures: Failure[] }> {
    this.parser.end();
    const results = await this.ended;
    if (!results.ok && this.whole.failed === 0) {
      const why = results.bailout
        ? `bailed out: ${String(results.bailout)}`
        : (results.failures[0]?.tapError ?? 'the output is incomplete');
      this.fail(this.whole, { name: why, diagnostics: null });
    }
    return this.whole;
  }

  private watch(parser: Parser, here: Level, depth: number): void {
    let child: Level | undefined;
    parser.on('child', (subtest: Parser) => {
      child = level();
      this.watch(subtest, child, depth + 1);
    });
    parser.on('assert', (result: Result) => {
      const sum = child;
      child = undefined;
      if (!sum) return this.leaf(here, result);
      if (!result.ok && !result.todo && !result.skip && sum.failed === 0) this.fail(sum, failureOf(result));
      if (result.skip && sum.passed + sum.failed + sum.skipped === 0) this.skip(sum, result.skip);
      here.passed += sum.passed;
      here.failed += sum.failed;
      here.skipped += sum.skipped;
      here.failures.push(...sum.failures);
      for (const reason of sum.reasons) here.reasons.add(reason);
      if (depth === 0) this.emit('file', { file: result.name, milliseconds: result.time ?? 0, ...sum });
    });
  }

  private leaf(here: Level, result: Result): void {
    if (result.skip) this.skip(here, result.skip);
    else if (result.todo) here.skipped++;
    else if (result.ok) here.passed++;
    else this.fail(here, failureOf(result));
  }

  private skip(here: Level, reason: string | boolean): void {
    here.skipped++;
    if (typeof reason === 'string' && reason !== '') here.reasons.add(reason);
  }

  private fail(here: Level, failure: Failure): void {
    here.failed++;
    here.failures.push(failure);
  }
}

function failureOf(result: Result): Failure {
  return { name: result.fullname, diagnostics: result.diag ?? result.tapError };
}
