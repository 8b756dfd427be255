// SPDX-License-Identifier: MIT
/** Runs the demo's commands, as a user would type them. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';

import { HINTS, VnetError } from '../errors';
import { programEnvironment, SYSTEM_PATH } from '../native/environment';

const MAIN = path.join(__dirname, '..', 'cli', 'main.js');
const env = { ...programEnvironment(), PATH: SYSTEM_PATH, LC_ALL: 'C' };

/** A command line, of which `vnet-bpf` and `node` stand for this very build and this very Node. */
export function argvOf(line: string): [string, string[]] {
  const [program, ...args] = line.split(' ').flatMap((word, i, words) => {
    if (word === 'vnet-bpf' && i === 0) return [process.execPath, MAIN];
    // `ip netns exec NAME node ...`
    if (word === 'node' && (i === 0 || words[i - 2] === 'exec')) return [process.execPath];
    return [word];
  });
  return [program as string, args];
}

/**
 * Starts a command. Its process group is its own: Ctrl-C reaches the demo alone, which ends what
 * it started in the right order.
 */
export function start(line: string): ChildProcess {
  const [program, args] = argvOf(line);
  return spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
}

/** Resolves with the standard output; a VnetError with what it said if it fails. */
export function outputOf(line: string, child: ChildProcess): Promise<string> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new VnetError('COMMAND_FAILED', line, cause.message, { hint: HINTS.doctor, cause })));
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      const why = (stderr || stdout).trim().split('\n')[0]?.replace(/^vnet-bpf: /, '');
      reject(new VnetError('COMMAND_FAILED', line, why || `ended with ${signal ?? code}`, { hint: HINTS.doctor }));
    });
  });
}

/** Runs a command to its end. */
export const run = (line: string): Promise<string> => outputOf(line, start(line));
