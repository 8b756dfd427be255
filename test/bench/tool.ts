// SPDX-License-Identifier: MIT
/** Runs the small C programs of test/bench/c, which `make` builds into dist-test/bench. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

import { ROOT } from '../helpers/cli';
import { removable } from './open-things';

export const toolFile = (name: string): string => path.join(ROOT, 'dist-test', 'bench', name);

export interface Tool {
  child: ChildProcess;
  /** Resolves when it says `ready`. */
  ready: Promise<void>;
  /** Resolves with the last line printed when the tool has ended without an error. */
  result: Promise<string>;
  /** SIGTERM: it ends and prints what it counted. `word` is then on its standard input. */
  stop(word?: number): void;
}

/** Starts a program in a network namespace, given by its file. */
export function startIn(netnsFile: string, program: string, args: readonly (string | number)[]): Tool {
  // In a session of its own, as the product's daemon is: the scheduler shares the processor among sessions first
  // (CONFIG_SCHED_AUTOGROUP, sched(7)), so a loop that shared ours with the sender would have less of it.
  const child = spawn('nsenter', [`--net=${netnsFile}`, '--', program, ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => {}); // it ended without reading: its exit status says why
  const kill = removable(() => child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'));
  let errors = '';
  let output = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  let heard = (): void => {};
  const said = new Promise<void>((resolve) => (heard = resolve));
  createInterface(child.stdout).on('line', (line) => (line === 'ready' ? heard() : (output += line + '\n')));
  const result = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      kill();
      if (status === 0) resolve(output);
      else
        reject(
          new Error(
            `${path.basename(program)} ${args.join(' ')}: ended with ${status ?? signal}: ${errors.trim() || output.trim()}`,
          ),
        );
    });
  });
  result.catch(() => {}); // whoever awaits it hears
  return { child, ready: Promise.race([said, result.then(() => {})]), result, stop };

  function stop(word?: number): void {
    child.stdin.end(word === undefined ? '' : `${word}\n`, () => child.kill('SIGTERM'));
  }
}

export const netnsFile = (name: string): string => `/run/netns/${name}`;

/** Starts one of our C programs in a named namespace. */
export const startTool = (netns: string, name: string, args: readonly (string | number)[]): Tool =>
  startIn(netnsFile(netns), toolFile(name), args);

/** Runs a tool until it ends; returns the line of JSON that it printed. */
export async function runTool<Result>(
  netns: string,
  name: string,
  args: readonly (string | number)[],
): Promise<Result> {
  return JSON.parse(await startTool(netns, name, args).result) as Result;
}
