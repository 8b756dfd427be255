// SPDX-License-Identifier: MIT
/**
 * `--daemon`: starts the same command again in a session of its own and waits until it is ready. The process
 * that waits loads nothing else: the other one looks at the arguments and says what is wrong with them.
 */
import { VnetError, type ErrorCode } from '../errors';

/** Set in the background process, to the directory that its files are named from. */
export const IN_BACKGROUND = 'VNET_BPF_IN_BACKGROUND';

interface Ready {
  /** What the waiting process is to print. */
  output: string;
}

export const inBackground = (): boolean => process.env[IN_BACKGROUND] !== undefined;

/**
 * Whether arguments that nobody has parsed yet ask for the background without doubt: the usual spelling. What
 * this does not recognize, `attach` itself does, later.
 */
export function wantsBackground(args: readonly string[]): boolean {
  if (inBackground() || args[0] !== 'attach') return false;
  const at = args.indexOf('--daemon');
  return at > 0 && args[at + 1] !== 'false' && !args.includes('--help') && !args.some((arg) => arg.startsWith('--dry-run')) && !args.includes('--version');
}

/** Starts the background process; returns what is to be printed, or throws what it printed. */
export function startInBackground(): Promise<string> {
  // Loaded here: it takes 12 ms, and every command asks `wantsBackground`.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  const child = spawn(process.execPath, process.argv.slice(1), {
    detached: true,
    cwd: '/',
    env: { ...process.env, [IN_BACKGROUND]: process.cwd() },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (message) => {
      child.stderr?.destroy();
      child.disconnect();
      child.unref();
      resolve((message as Ready).output);
    });
    child.once('close', (code, signal) => reject(failure(stderr, code, signal)));
  });
}

/** The background process has said in words why it failed: pass them on. */
function failure(stderr: string, code: number | null, signal: string | null): VnetError {
  const [first = '', ...rest] = stderr.trim().split('\n');
  const match = /^vnet-bpf: (.*?): (.*)$/.exec(first);
  const hint = rest.find((line) => line.startsWith('hint: '))?.slice('hint: '.length);
  const kind: ErrorCode = code === 2 ? 'USAGE' : 'COMMAND_FAILED';
  const [what, why] = match ? [match[1] as string, match[2] as string] : ['the background process', first || `ended with ${signal ?? code}`];
  return new VnetError(kind, what, why, hint === undefined ? {} : { hint });
}

/** Tells the waiting command that the interface is ready, and what to print. */
export function reportReady(output: string): void {
  process.send?.({ output } satisfies Ready, () => process.disconnect());
  // Nobody reads it any more; a message there must not end the controller.
  process.stderr.on('error', () => undefined);
}
