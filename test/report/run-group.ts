// SPDX-License-Identifier: MIT
/** Runs one group of test files and prints what happens while it happens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { inspect } from 'node:util';

import { filesOf, groups, isTimed, programOf, sourceOf, type GroupName } from './groups';
import { isolated, type Isolation, signalIsolated } from './sandbox';
import { nothing, type Tally } from './tally';
import { TapCounter, type Failure, type FileResult } from './tap-counter';

/** The count of the group. */
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
  const printed = new Set<Failure>();
  counter.on('file', (result) => {
    printFile(result);
    for (const failure of result.failures) printed.add(failure);
  });
  await runFiles(name, files, counter);
  const sum = await counter.end();
  // What belongs to no file: some did not run.
  for (const failure of sum.failures) if (!printed.has(failure)) print(failure);
  return sum;
}

/**
 * Runs each file in a Node of its own, `jobs` at a time, and gives the counter what `tap run` would print. The
 * command itself is left out because it loads itself into every file's process and into all that these start:
 * two seconds of processor time for each.
 */
async function runFiles(name: GroupName, files: readonly string[], counter: TapCounter): Promise<void> {
  const { jobs, timeout, isolation } = groups[name];
  const running = new Map<ChildProcess, Isolation>();
  // A test ends itself, and cleans up, when it is interrupted.
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupted = true;
      for (const [child, isolation] of running) signalIsolated(isolation, child, signal);
    });
  }
  let next = 0;
  let number = 0;
  const worker = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined && !interrupted; file = files[next++]) {
      const { lines, ok, milliseconds } = await runFile(file, timeout, isolation(file), running);
      counter.write(`# Subtest: ${file}\n${lines.map((line) => `    ${line}\n`).join('')}`);
      counter.write(`${ok ? 'ok' : 'not ok'} ${++number} - ${file} # time=${milliseconds}ms\n`);
    }
  };
  counter.write('TAP version 14\n');
  await Promise.all(Array.from({ length: jobs }, worker));
  counter.write(`1..${files.length}\n`);
}

/** Seconds that a file has to clean up after its time is over. */
const GRACE = 60;

function runFile(
  file: string,
  timeout: number,
  isolation: Isolation,
  running: Map<ChildProcess, Isolation>,
): Promise<{ lines: string[]; ok: boolean; milliseconds: number }> {
  const start = performance.now();
  const args = [
    '--enable-source-maps',
    '-r',
    './test/helpers/ts-node-lazily.cjs',
    '-r',
    './test/helpers/tap-in-one-file.cjs',
    programOf(file),
  ];
  const command = isolated(isolation, process.execPath, args);
  // Only root may ask for it; without root these tests skip.
  const [program, argv] = isTimed(file) && process.getuid?.() === 0 ? before(...command) : command;
  const child = spawn(program, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Of the tests directly in the file; 0 would be none.
    env: { ...process.env, TAP_TIMEOUT: String(timeout) },
  });
  running.set(child, isolation);
  const hard = setTimeout(() => child.kill('SIGKILL'), (timeout + GRACE) * 1000);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(hard);
      running.delete(child);
      const lines = text.split('\n').filter((line) => !line.startsWith('TAP version'));
      resolve({ lines, ok: code === 0, milliseconds: performance.now() - start });
    });
  });
}

/** A command that gets the processor before others, and so does all that it starts. */
const before = (program: string, argv: readonly string[]): [string, string[]] => [
  'nice',
  ['-n', '-10', program, ...argv],
];

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
