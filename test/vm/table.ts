// SPDX-License-Identifier: MIT
// Makes the table of docs/kernels.md from what a run has found.
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestVerdict } from './file-verdict';

export interface KernelResult {
  readonly name: string;
  /** Debian's version of the package. */
  readonly version: string;
  /** In the order in which they ran. */
  readonly tests: readonly TestVerdict[];
}

const END = '<!-- end of what was made -->';

/** A row for each test, a column for each kernel: how many assertions passed, or why there are none. */
export function resultTable(kernels: readonly KernelResult[]): string {
  const names = [...new Set(kernels.flatMap(({ tests }) => tests.map(({ name }) => name)))];
  const reasons: string[] = [];
  const cell = ({ tests }: KernelResult, name: string): string => {
    const test = tests.find((one) => one.name === name);
    if (!test) return '';
    if (test.failed > 0) return '**failed**';
    const marks = [...new Set(test.skips.map(({ reason }) => `(${mark(reason)})`))];
    return [test.passed > 0 ? String(test.passed) : '-', ...marks].join(' ');
  };
  const mark = (reason: string): number => {
    // The reason names the running kernel; the table has it in its column.
    const text = reason.replace(/this kernel is \S+, and /, '');
    if (!reasons.includes(text)) reasons.push(text);
    return reasons.indexOf(text) + 1;
  };
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row(['test', ...kernels.map(({ name }) => name)]),
    row(['---', ...kernels.map(() => '---')]),
    row(['Debian package', ...kernels.map(({ version }) => version)]),
    ...names.map((name) => row([name.replaceAll('|', '\\|'), ...kernels.map((kernel) => cell(kernel, name))])),
    '',
    ...reasons.map((reason, i) => `(${i + 1}) skipped: ${reason}  `),
  ]
    .join('\n')
    .trimEnd();
}

/** Puts it between the two marks of a document. @param target of make, which the first mark names */
export function writeTable(file: string, table: string, target = 'test-vm-table'): void {
  const mark = `<!-- made by make ${target} -->`;
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [text.indexOf(mark), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${file} has no lines "${mark}" and "${END}"`);
  writeFileSync(file, `${text.slice(0, begin + mark.length)}\n\n${table}\n\n${text.slice(end)}`);
}
