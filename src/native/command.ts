// SPDX-License-Identifier: MIT
/** Runs the few system programs we use. Arguments are passed as a list, never through a shell. */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import * as path from 'node:path';

import { HINTS, isExhaustion, VnetError } from '../errors';
import { systemEnvironment } from './inherited';
import { childHasEnded } from './libc';

export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end; the caller judges a failing status. The program is looked up in the PATH of `env`, by
 * default that of the system's programs. Throws COMMAND_FAILED if it cannot be run.
 */
export function tryCommand(program: string, args: readonly string[], env = systemEnvironment()): CommandResult {
  // In a session of its own: a terminal's Ctrl-C is for this process, and must not end a step that is under way.
  const options = { env, input: '', encoding: 'utf8', maxBuffer: 64 << 20, detached: true } as const;
  const result = spawnSync(program, args, options);
  if (result.error) {
    const { code } = result.error as NodeJS.ErrnoException;
    if (isExhaustion(result.error)) throw result.error;
    if (code === 'ENOENT') throw notInstalled(program, result.error);
    throw new VnetError('COMMAND_FAILED', program, result.error.message, { hint: HINTS.doctor, cause: result.error });
  }
  return { status: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
}

/** Runs a program that has to succeed; returns its standard output. Throws COMMAND_FAILED. */
export function command(program: string, args: readonly string[], env = systemEnvironment()): string {
  const result = tryCommand(program, args, env);
  if (result.status !== 0) throw commandFailed(program, args, result);
  return result.stdout;
}

/** The error for a program that has failed; `why` stands for what it complains of. */
export function commandFailed(
  program: string,
  args: readonly string[],
  { status, stderr }: CommandResult,
  why = stderr.trim().split('\n')[0] ?? '',
): VnetError {
  return new VnetError('COMMAND_FAILED', `${program} ${args.join(' ')}`, why || `exit status ${status}`, {
    hint: HINTS.doctor,
  });
}

/**
 * Throws COMMAND_FAILED if there is no `ip`. It removes interfaces, so without it nothing that is made could be removed.
 * It is looked for and not run: that would take ten milliseconds of each attach.
 */
export function requireIp(): void {
  const directories = (systemEnvironment()['PATH'] ?? '').split(path.delimiter);
  if (!directories.some((directory) => canExecute(path.join(directory, 'ip')))) throw notInstalled('ip');
}

/** Throws COMMAND_FAILED if `ip` cannot be run, or what the system lacks for it. */
export const runIp = (): void => void command('ip', ['-V']);

function canExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const notInstalled = (program: string, cause?: unknown): VnetError =>
  new VnetError('COMMAND_FAILED', program, 'is not installed', { hint: 'apt-get install iproute2 util-linux', cause });

const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Runs a program that may hang in the kernel, where not even SIGKILL ends it. Blocks until it has ended, or for `ms`
 * milliseconds; false if it is still running. It inherits no descriptor, so it holds none of our locks. The caller has
 * to check what it has done.
 */
export function commandWithin(ms: number, program: string, args: readonly string[]): boolean {
  const child = spawn(program, args, { env: systemEnvironment(), cwd: '/', stdio: 'ignore', detached: true });
  child.on('error', () => undefined); // not started: the caller sees that its work is not done
  child.unref();
  const { pid } = child;
  if (pid === undefined) return true;
  for (const end = performance.now() + ms; !childHasEnded(pid); Atomics.wait(never, 0, 0, 1))
    if (performance.now() > end) return false;
  return true;
}

/**
 * Runs one `ip` command that may fail because its object is gone already; true if it succeeded. Runs in the network
 * namespace of the calling thread: wrap calls in Netns.run().
 */
export function ipIfPossible(args: readonly string[]): boolean {
  return tryCommand('ip', args).status === 0;
}
