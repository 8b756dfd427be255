// SPDX-License-Identifier: MIT
/** A program of our own that runs beside a test, inside its namespace, until it is asked to end. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

import type { Test } from 'tap';

import { ROOT } from './cli';
import { inside } from './netns';

export interface ToolProcess<Result> {
  pid: number;
  /** Resolves when it has printed `ready`; rejects if it ends before. */
  ready: Promise<void>;
  /** Resolves with the last line printed when the tool has ended without an error. */
  result: Promise<Result>;
  /** Sends SIGTERM, which asks for the result. */
  stop(): Promise<Result>;
}

/**
 * Path of the compiled tool: beside this file where the tests are compiled, too (VMs), otherwise where make puts it.
 */
export function toolPath(tool: string): string {
  const directory = __filename.endsWith('.ts') ? path.join(ROOT, 'dist-test', 'test', 'helpers') : __dirname;
  const file = path.join(directory, `${tool}.js`);
  if (!fs.existsSync(file)) throw new Error(`${file} is missing: make compile-tests`);
  return file;
}

/** Starts `node TOOL ROLE OPTIONS-AS-JSON`; it is killed when the test ends. */
export function startTool<Result>(
  t: Test,
  netns: string,
  tool: string,
  role: string,
  options: object,
): ToolProcess<Result> {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  // Each executes the next in its own process, so signals reach node. tap puts a module loader
  // into NODE_OPTIONS of every child; it is slow to start and does not know .ts.
  const command = [
    ...rest,
    'env',
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    toolPath(tool),
    role,
    JSON.stringify(options),
  ];
  const child = spawn(nsenter, command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const lines: string[] = [];
  let heard = (): void => {};
  const saysReady = new Promise<void>((resolve) => (heard = resolve));
  createInterface(child.stdout).on('line', (line) => (line === 'ready' ? heard() : lines.push(line)));
  const result = new Promise<Result>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      const last = lines.at(-1);
      if (status === 0 && last !== undefined) resolve(JSON.parse(last) as Result);
      else reject(new Error(`${tool} ${role} ended with ${status ?? signal}: ${errors.trim()}`));
    });
  });
  const ready = Promise.race([saysReady, result.then(() => {})]);
  // A caller that awaits them sees the error; a test that has failed before, or killed the tool, does not await them.
  result.catch(() => {});
  ready.catch(() => {});
  const stop = (): Promise<Result> => {
    child.kill('SIGTERM');
    return result;
  };
  return { pid: child.pid ?? 0, ready, result, stop };
}
