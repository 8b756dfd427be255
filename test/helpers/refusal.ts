// SPDX-License-Identifier: MIT
/** Checks that a command is refused as the contract says: with one line, perhaps a hint, and nothing else. */
import { execFile } from 'node:child_process';

import type { Test } from 'tap';

import { MAIN } from './cli';
import type { Result } from './netns';

export interface Refusal {
  args: readonly string[];
  status: 1 | 2;
  /** What the line must contain. */
  says: RegExp;
  hints?: RegExp;
  env?: NodeJS.ProcessEnv;
  /** A command line to run it with: `setpriv ... --`. */
  through?: readonly string[];
}

/**
 * tap puts a module loader into NODE_OPTIONS of every child. A user has none, and it writes where the user nobody may
 * not.
 */
const PLAIN = ['env', '-u', 'NODE_OPTIONS'];

function runOnce({ args, env, through = [] }: Refusal): Promise<Result> {
  const [program, ...rest] = [...through, ...PLAIN, process.execPath, MAIN, ...args] as [string, ...string[]];
  return new Promise((resolve) => {
    execFile(program, rest, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });
}

/** Checks one result; everything that is wrong with it makes one failure. */
export function checkRefusal(t: Test, { status, stdout, stderr }: Result, refusal: Refusal, name: string): void {
  const [first = '', second, ...more] = stderr.replace(/\n$/, '').split('\n');
  const wrong: string[] = [];
  if (status !== refusal.status) wrong.push(`exit code ${status}, not ${refusal.status}`);
  if (stdout !== '') wrong.push('something on standard output');
  if (!/^vnet-bpf: [^:].*: ./.test(first)) wrong.push('no line "vnet-bpf: what: why"');
  if (!refusal.says.test(first)) wrong.push(`does not say ${refusal.says}`);
  if (second !== undefined && !second.startsWith('hint: ')) wrong.push('a second line that is no hint');
  if (refusal.hints && !refusal.hints.test(second ?? '')) wrong.push(`does not hint ${refusal.hints}`);
  if (more.length > 0) wrong.push('more than two lines');
  t.same(wrong, [], `${name}: ${first}`, { stdout, stderr });
}

/** Runs two at a time: a refused command spends most of its time starting. */
const AT_ONCE = 2;

export async function refused(t: Test, refusals: readonly Refusal[]): Promise<void> {
  const waiting = [...refusals];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      checkRefusal(
        t,
        await runOnce(next),
        next,
        next.args.map((arg) => (arg === '' ? '""' : arg)).join(' ') || 'no argument',
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
