// SPDX-License-Identifier: MIT
/**
 * `--daemon`: starts the same command again in a session of its own and waits until it is ready. The waiting process
 * loads nothing else: the background process checks the arguments and reports what is wrong with them.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

import { type ErrorCode, exhaustion, VnetError } from '../errors';
import { namesBeginAt, programEnvironment } from '../native/inherited';
import { withoutInspector } from '../native/node';
import { endSignals } from '../terminal/signals';
import { IN_BACKGROUND, READY_FD, readyReport } from './daemon';

const WHAT = 'the background process';

/**
 * Starts the background process; returns what to print, or throws what that process printed. During the wait, a signal
 * also ends the background process; a second one ends only the wait.
 */
export async function startInBackground(): Promise<string> {
  const child = spawn(process.execPath, [...withoutInspector(), ...process.argv.slice(1)], {
    detached: true,
    cwd: '/',
    env: { ...programEnvironment(), [IN_BACKGROUND]: namesBeginAt() },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  let output = '';
  let endedBy: NodeJS.Signals | undefined;
  const end = (signal: NodeJS.Signals): void => {
    endedBy ??= signal;
    child.kill('SIGTERM');
  };
  for (const signal of endSignals()) process.once(signal, end);
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise<string>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)));
    // If no descriptors are left for its streams, the child has none.
    const ready = (child.stdio as typeof child.stdio | undefined)?.[READY_FD] as Readable | undefined;
    ready?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    ready?.once('end', () => {
      if (output === '' || endedBy) return; // it has failed, or was asked to end
      child.stderr?.destroy();
      child.unref();
      const report = readyReport(output);
      if (report.warnings !== '')
        (require('../native/standard-streams') as typeof import('../native/standard-streams')).news(2, report.warnings);
      resolve(report.output);
    });
    child.once('close', (code, signal) => reject(endedBy ? interrupted(endedBy) : failure(stderr, code, signal)));
  }).finally(() => {
    for (const signal of endSignals()) process.off(signal, end);
  });
}

const interrupted = (signal: NodeJS.Signals): VnetError =>
  new VnetError('INTERRUPTED', 'attach', `ended by ${signal}; what it had made is removed`, {
    hint: 'vnet-bpf list shows what is attached',
  });

function notStarted(error: NodeJS.ErrnoException): VnetError {
  return (
    exhaustion(error, WHAT) ??
    new VnetError('COMMAND_FAILED', WHAT, `could not be started: ${error.code ?? error.message}`, {
      hint: 'look at the limits of this shell, with ulimit -a, and of its control group',
      cause: error,
    })
  );
}

/** Passes on the error with which the background process failed. */
function failure(stderr: string, code: number | null, signal: string | null): VnetError {
  const lines = stderr.trim().split('\n');
  const match = lines.map((line) => /^vnet-bpf: (.*?): (.*)$/.exec(line)).find((found) => found !== null);
  const hint = lines.find((line) => line.startsWith('hint: '))?.slice('hint: '.length);
  const kind: ErrorCode = code === 2 ? 'USAGE' : 'COMMAND_FAILED';
  const [what, why] = match
    ? [match[1] as string, match[2] as string]
    : [WHAT, lines[0] || `ended with ${signal ?? code}`];
  return new VnetError(kind, what, why, hint === undefined ? {} : { hint });
}
