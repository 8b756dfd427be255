// SPDX-License-Identifier: MIT
/** Scripts in processes and workers of their own, which load the package as this file was loaded. */
import { spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** Declares `ts`, the package: through ts-node, or compiled as this file is. */
const LOAD = `
  ${__filename.endsWith('.ts') ? `require(${JSON.stringify(require.resolve('ts-node/register/transpile-only'))});` : ''}
  const ts = require(${JSON.stringify(join(__dirname, '..', '..', 'src', 'index'))});
`;

/** The beginning of a worker's script: the package as `ts`, Node's `worker_threads` as `threads`. */
const WORKER = `const threads = require('node:worker_threads');${LOAD}`;

/** How a process ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a script. */
export interface ScriptOptions extends SpawnOptions {
  /** Options of Node. */
  readonly node?: readonly string[];
  /** A command that runs the rest of its arguments. */
  readonly wrapper?: readonly string[];
  /** When it counts as hung, and is killed, in milliseconds. */
  readonly within?: number;
}

/** Runs a script in a process of its own, with the package as `ts` and, for its workers, WORKER to begin with. */
export async function runScript(script: string, options: ScriptOptions = {}): Promise<Ended> {
  const { node = [], wrapper = [], within = 60_000, ...rest } = options;
  const [command, ...args] = [
    ...wrapper,
    process.execPath,
    ...node,
    '-e',
    `${LOAD}const WORKER = ${JSON.stringify(WORKER)};${script}`,
  ];
  const env = { ...process.env, NODE_OPTIONS: '', ...rest.env };
  const child = spawn(command!, args, { ...rest, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const hung = setTimeout(() => child.kill('SIGKILL'), within);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(hung);
  return { code, signal, ...output };
}

/** A worker with the package as `ts` and Node's `worker_threads` as `threads`. */
export const startWorker = (script: string, workerData?: unknown): Worker =>
  new Worker(WORKER + script, { eval: true, execArgv: [], workerData });

/** What a worker sends first; rejects if it ends before. */
export async function firstMessage(worker: Worker): Promise<unknown> {
  const message = await Promise.race([
    once(worker, 'message'),
    once(worker, 'exit').then(([code]) => {
      throw new Error(`the worker ended with ${code as number} before it sent anything`);
    }),
  ]);
  return (message as unknown[])[0];
}
