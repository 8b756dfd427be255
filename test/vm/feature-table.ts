// SPDX-License-Identifier: MIT
// `run.ts … | feature-table.ts FILE`: from the report of a run, a table of what each kernel can do, into FILE. A row is a
// test of the lowest level, such as an attachment; its title is the name of the feature.
import { Parser, type Result } from 'tap-parser';
import { writeTable } from './table';

/** What a kernel did in a test. */
interface Outcome {
  passed: number;
  failed: number;
  /** Why it was skipped, in the words of the library's error. */
  reason?: string;
}

/** Titles of tests that say nothing about kernels. */
const NO_FEATURES = /(^|: )(arguments|a libbpf that is too old says so)$/;

export class Features {
  readonly #rows = new Map<string, Map<string, Outcome>>();

  /** @param titles of the tests around: a kernel and a file, what the file is about, and the feature */
  watch(parser: Parser, titles: readonly string[] = []): void {
    const children = new Set<string>();
    parser.on('child', (child: Parser) => {
      children.add(child.name);
      this.watch(child, [...titles, child.name]);
    });
    parser.on('assert', (result: Result) => {
      const [kernel = ''] = titles[0]?.split(' ') ?? [];
      const skip = result.skip === true ? 'skipped' : result.skip || undefined;
      // The verdict on a test that has run comes behind it; one that is skipped as a whole has nothing else.
      if (children.has(result.name) || (titles.length === 2 && skip === undefined) || titles.length < 2) return;
      const feature = [...titles.slice(2), ...(titles.length === 2 ? [result.name] : [])].join(': ');
      if (!NO_FEATURES.test(feature)) this.#add(feature, kernel, result.ok, skip);
    });
  }

  #add(feature: string, kernel: string, ok: boolean, skip: string | undefined): void {
    const row = this.#rows.get(feature) ?? new Map<string, Outcome>();
    this.#rows.set(feature, row);
    const outcome = row.get(kernel) ?? { passed: 0, failed: 0 };
    row.set(kernel, outcome);
    if (skip !== undefined) outcome.reason ??= skip;
    else if (ok) outcome.passed++;
    else outcome.failed++;
  }

  /** Features that failed somewhere. */
  get failed(): string[] {
    const rows = [...this.#rows].filter(([, row]) => [...row.values()].some(({ failed }) => failed > 0));
    return rows.map(([feature]) => feature);
  }

  /** A row for each feature, a column for each kernel. */
  table(): string {
    const kernels = [...new Set([...this.#rows.values()].flatMap((row) => [...row.keys()]))];
    const reasons: string[] = [];
    const cell = (outcome: Outcome | undefined): string => {
      if (outcome?.reason === undefined) return outcome ? 'yes' : '';
      if (!reasons.includes(outcome.reason)) reasons.push(outcome.reason);
      return `– (${reasons.indexOf(outcome.reason) + 1})`;
    };
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    return [
      line(['', ...kernels]),
      line(['---', ...kernels.map(() => '---')]),
      ...[...this.#rows].map(([feature, row]) => line([feature, ...kernels.map((kernel) => cell(row.get(kernel)))])),
      '',
      ...reasons.map((reason, i) => `(${i + 1}) ${reason}  `),
    ]
      .join('\n')
      .trimEnd();
  }
}

if (require.main === module) {
  const features = new Features();
  const parser = new Parser();
  features.watch(parser);
  process.stdin.pipe(parser).on('complete', () => {
    const [file = ''] = process.argv.slice(2);
    if (features.failed.length === 0) writeTable(file, features.table(), 'test-vm-features');
    else {
      console.error(`feature-table: failed: ${features.failed.join(', ')}`);
      process.exitCode = 1;
    }
  });
}
