// SPDX-License-Identifier: MIT
/** Runs one group of test files through `tap run` and prints what happens while it happens. */
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { inspect } from 'node:util';

import { filesOf, groups, programOf, sourceOf, type GroupName } from './groups';
import { TapCounter, type Failure, type FileResult } from './tap-counter';
import { nothing, type Tally } from './tally';

const TAP = path.join('node_modules', '.bin', 'tap');

/** The count of the group; a tap that fails without a failed test counts as one failure. */
export async function runGroup(name: GroupName): Promise<Tally> {
  const files = filesOf(name);
  console.log(`\n${name} tests: ${files.length} files`);
  const obstacle = groups[name].obstacle();
  if (obstacle !== null) {
    console.log(`skip all: ${obstacle}`);
    return { ...nothing(), skipped: files.length };
  }
  if (files.length === 0) return nothing();
  const counter = new TapCounter();
  counter.on('file', printFile);
  if (groups[name].jobs === 1 && process.stdout.isTTY) counter.on('test', (test) => console.log(`     ${test}`));
  const status = await runTap(name, files, counter);
  const sum = await counter.end();
  const shown = sum.failed > 0 || status === 0;
  if (shown) return sum;
  print({ name: `tap ended with ${status} although no test failed`, diagnostics: null });
  return { ...sum, failed: 1 };
}

function runTap(name: GroupName, files: readonly string[], counter: TapCounter): Promise<number | string> {
  const { jobs, timeout } = groups[name];
  const child = spawn(TAP, ['run', `--jobs=${jobs}`, `--timeout=${timeout}`, '--reporter=tap', ...files.map(programOf)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => counter.write(text));
  // tap ends its own tests, which clean up after themselves, when it is interrupted.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
}

function printFile(result: FileResult): void {
  const { passed, failed, skipped, milliseconds, reasons } = result;
  const mark = failed > 0 ? 'FAIL' : passed > 0 ? 'ok  ' : 'skip';
  const counts = [`${passed} passed`];
  if (failed > 0) counts.push(`${failed} failed`);
  if (skipped > 0) counts.push(`${skipped} skipped${reasons.size > 0 ? ` (${[...reasons].join('; ')})` : ''}`);
  console.log(`${mark} ${sourceOf(result.file)}  ${counts.join(', ')}  ${(milliseconds / 1000).toFixed(1)} s`);
  for (const failure of result.failures) print(failure);
}

function print({ name, diagnostics }: Failure): void {
  console.log(`     not ok: ${sourceOf(name)}`);
  if (diagnostics === null || diagnostics === undefined) return;
  const text = typeof diagnostics === 'object' ? fields(diagnostics) : inspect(diagnostics);
  for (const line of text.split('\n')) console.log(`       ${line}`);
}

/** The fields that TAP gave, with texts of several lines (differences, stacks) as they are. */
function fields(diagnostics: object): string {
  // The stack has what `at` has.
  return Object.entries(diagnostics)
    .filter(([key]) => key !== 'at' && key !== 'compare')
    .map(([key, value]) => {
      if (typeof value !== 'string') return `${key}: ${inspect(value, { depth: 4, breakLength: 100 })}`;
      return value.includes('\n') ? `${key}:\n  ${value.trimEnd().replaceAll('\n', '\n  ')}` : `${key}: ${value}`;
    })
    .join('\n');
}
