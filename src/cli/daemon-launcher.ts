// SPDX-License-Identifier: MIT
/**
 * `--daemon`: starts the same command again in a session of its own and waits until it is ready. The waiting process
 * loads nothing else: the background process checks the arguments and reports what is wrong with them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import type { Readable } from 'node:stream';

import { type ErrorCode, exhaustion, HINTS, VnetError } from '../errors';
import { namesBeginAt, programEnvironment } from '../native/inherited';
import { withoutInspector } from '../native/node';
import { endSignals } from '../terminal/signals';
import { CALLERS_NETNS, CALLERS_NETNS_FD, IN_BACKGROUND, READY_FD, readyReport } from './daemon';

const WHAT = 'the background process';
/** How long the background process may take to start, in milliseconds. With too few threads Node.js hangs at its start. */
const START_MS = 30_000;

/**
 * Starts the background process; returns what to print, or throws what that process printed. During the wait, a signal
 * also ends the background process; a second one ends only the wait.
 */
export async function startInBackground(): Promise<string> {
  const child = start();
  let stderr = '';
  let output = '';
  let endedBy: NodeJS.Signals | undefined;
  const end = (signal: NodeJS.Signals): void => {
    endedBy ??= signal;
    child.kill('SIGTERM');
  };
  for (const signal of endSignals()) process.once(signal, end);
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    child.kill('SIGKILL');
  }, START_MS);
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise<string>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)));
    // If no descriptors are left for its streams, the child has none.
    const ready = (child.stdio as typeof child.stdio | undefined)?.[READY_FD] as Readable | undefined;
    ready?.on('data', (chunk: Buffer) => {
      clearTimeout(timer);
      output += chunk.toString();
    });
    ready?.once('end', () => {
      if (readyReport(output).output === '' || endedBy) return; // it has failed, or was asked to end
      child.stderr?.destroy();
      child.unref();
      const report = readyReport(output);
      if (report.warnings !== '')
        (require('../native/standard-streams') as typeof import('../native/standard-streams')).news(2, report.warnings);
      resolve(report.output);
    });
    child.once('close', (code, signal) =>
      reject(endedBy ? interrupted(endedBy) : hangs ? hung() : failure(stderr, code, signal)),
    );
  }).finally(() => {
    clearTimeout(timer);
    for (const signal of endSignals()) process.off(signal, end);
  });
}

function start(): ChildProcess {
  const netns = leaveCallersNetns();
  return spawn(process.execPath, [...withoutInspector(), ...process.argv.slice(1)], {
    detached: true,
    cwd: '/',
    env: {
      ...programEnvironment(),
      [IN_BACKGROUND]: namesBeginAt(),
      ...(netns === null ? {} : { [CALLERS_NETNS]: String(CALLERS_NETNS_FD) }),
    },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(netns === null ? [] : [netns])],
  });
}

/** Options with which the process opens sockets in its namespace, or a hook may. */
const NEEDS_CALLERS_NETNS = /^--(metrics|hook)(=|$)/;

/**
 * Moves this thread, and what it starts, to the network namespace of pid 1; returns a descriptor of the caller's. Null
 * if that is the same, may not be entered, or has to be kept. A thread keeps its namespace alive, also after `ip netns
 * del`, and a process cannot move the threads of Node.js: it has to be started where it may stay.
 */
function leaveCallersNetns(): number | null {
  const [callers, outside] = ['/proc/self/ns/net', '/proc/1/ns/net'] as const;
  if (process.argv.some((arg) => NEEDS_CALLERS_NETNS.test(arg))) return null;
  try {
    if (fs.statSync(callers).ino === fs.statSync(outside).ino) return null;
    const { setNetns } = require('../native/libc') as typeof import('../native/libc');
    const left = fs.openSync(callers, 'r');
    setNetns(fs.openSync(outside, 'r'));
    return left;
  } catch {
    return null;
  }
}

const interrupted = (signal: NodeJS.Signals): VnetError =>
  new VnetError('INTERRUPTED', 'attach', `ended by ${signal}; what it had made is removed`, {
    hint: 'vnet-bpf list shows what is attached',
  });

const hung = (): VnetError =>
  new VnetError('COMMAND_FAILED', WHAT, `did not start within ${START_MS / 1000} s`, { hint: HINTS.limits });

function notStarted(error: NodeJS.ErrnoException): VnetError {
  return (
    exhaustion(error, WHAT) ??
    new VnetError('COMMAND_FAILED', WHAT, `could not be started: ${error.code ?? error.message}`, {
      hint: HINTS.limits,
      cause: error,
    })
  );
}

/** Passes on the error with which the background process failed. */
function failure(stderr: string, code: number | null, signal: string | null): VnetError {
  const { reported } = require('../terminal/failed-process') as typeof import('../terminal/failed-process');
  const { line, hint } = reported(stderr);
  const kind: ErrorCode = code === 2 ? 'USAGE' : 'COMMAND_FAILED';
  const [, what, why] = /^(.*?): (.*)$/.exec(line ?? '') ?? [];
  if (what !== undefined && why !== undefined && !/Error$|^FATAL/.test(what))
    return new VnetError(kind, what, why, hint === undefined ? {} : { hint });
  return new VnetError(kind, WHAT, `${line === null ? '' : `${line}; it `}ended with ${signal ?? code}`, {
    hint: HINTS.limits,
  });
}
