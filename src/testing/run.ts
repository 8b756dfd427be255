// SPDX-License-Identifier: MIT
/** Runs a program in a namespace while the calling thread goes on. */
import { type ChildProcess, spawn } from 'node:child_process';

import { VnetError } from '../errors';
import { Netns } from '../link/netns';
import { commandFailed } from '../native/command';

export interface RunOptions {
  /** Milliseconds after which the program is killed; by default it may take any time. */
  timeoutMs?: number;
  /** What the program reads from its standard input; by default nothing. */
  input?: string | Uint8Array;
  /** Variables of its environment, beside those of this process. */
  env?: Readonly<Record<string, string>>;
  /** Kills the program when aborted. */
  signal?: AbortSignal;
}

/** Returns what the program has printed. Rejects with COMMAND_FAILED if it fails, or is killed. */
export async function runIn(
  netnsName: string,
  program: string,
  args: readonly string[],
  { timeoutMs, input = '', env, signal }: RunOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  const child = start(netnsName, program, args, { ...process.env, ...env });
  const output = collect(child.stdout);
  const complaints = collect(child.stderr);
  let killed: string | null = null;
  const kill = (why: string): void => {
    killed ??= why;
    // It leads a process group of its own, and what it has started is in it.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => kill(`has not ended within ${timeoutMs} ms`), timeoutMs);
  const abort = (): void => kill('was aborted');
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const ended = endOf(child, program);
    child.stdin?.on('error', () => undefined); // it need not read
    child.stdin?.end(input);
    const status = await ended;
    if (killed === null && status === 0) return output();
    const why = killed === null ? undefined : `${killed as string}; ${lastLine(complaints(), output())}`;
    throw commandFailed(program, args, { status, stdout: output(), stderr: complaints() }, why);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

function start(netnsName: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  using netns = Netns.named(netnsName);
  return netns.run(() => spawn(program, args, { env, stdio: 'pipe', detached: true }));
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

/** Its exit status, or -1 if a signal has ended it, once its output has been read. */
const endOf = (child: ChildProcess, program: string): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new VnetError('COMMAND_FAILED', program, cause.code === 'ENOENT' ? 'is not installed' : cause.message, {
          hint: 'give its path, or install it',
          cause,
        }),
      ),
    );
    child.once('close', (status) => resolve(status ?? -1));
  });

const lastLine = (...texts: readonly string[]): string =>
  texts.map((text) => text.trim().split('\n').at(-1)).find(Boolean) ?? 'it has printed nothing';
