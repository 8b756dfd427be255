// SPDX-License-Identifier: MIT
/** Runs `vnet-bpf run` in the background, and checks that it leaves nothing. */
import { spawn, type ChildProcess } from 'node:child_process';

import type { Test } from 'tap';

import { MAIN } from './cli';
import { eventually } from './controller';
import { ok, run } from './netns';

/** The names of all namespaces. */
export const namespaces = (): string[] =>
  ok('ip', ['netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0] as string);

/** Whether a namespace is gone, together with the record of the attachment in it. */
export const isGone = (netns: string): boolean =>
  netns !== '' &&
  !namespaces().includes(netns) &&
  run('grep', ['-rls', `"${netns}"`, '/run/vnet-bpf', '--include=state.json']).stdout === '';

/**
 * Asserts that every namespace of a run that was created since `before` is removed: ours, and those of concurrent
 * tests.
 */
export async function runsGo(t: Test, before: readonly string[]): Promise<void> {
  const came = namespaces().filter((name) => name.startsWith('vnet-run-') && !before.includes(name));
  await eventually(() => !namespaces().some((name) => came.includes(name)), 60_000);
  t.same(
    namespaces().filter((name) => came.includes(name)),
    [],
    'no namespace is left',
  );
}

export interface StartedRun {
  child: ChildProcess;
  netns: string;
  ended: Promise<number | null>;
  /** What the command has printed after the name of its namespace. */
  output(): string;
  /** What run has said on standard error, if it was run through a command line. */
  errors(): string;
}

/**
 * `vnet-bpf run -- sh -c SCRIPT`, without a terminal; resolves when the script has printed a line, or has ended. Its
 * standard input is a pipe. `through` is a command line to run it with.
 */
export async function startRun(t: Test, script: string, through: readonly string[] = []): Promise<StartedRun> {
  const [program, ...args] = [
    ...through,
    ...[process.execPath, MAIN, 'run', '--stats', '/dev/null', '--', 'sh', '-c', `ip netns identify $$; ${script}`],
  ] as [string, ...string[]];
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', through.length === 0 ? 'inherit' : 'pipe'],
    detached: true,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.teardown(() => child.exitCode === null && child.kill('SIGTERM'));
  let output = '';
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  // If many start at once, the last one waits for all others.
  await Promise.race([ended, eventually(() => output.split('\n').length > 2, 120_000)]);
  return {
    child,
    netns: output.split('\n')[0] ?? '',
    ended,
    output: () => output.replace(/^.*\n/, ''),
    errors: () => errors,
  };
}
