// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program in TypeScript that a test runs as a user would, in a directory with its BPF object. */
export class Example implements AsyncDisposable {
  output = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param wrapper a command that runs the rest of its arguments, such as `ip netns exec NAME` */
  constructor(directory: string, program: string, args: readonly string[], wrapper: readonly string[] = []) {
    const typescript = ['-r', require.resolve('ts-node/register/transpile-only'), program];
    const [command, ...rest] = [...wrapper, process.execPath, ...typescript, ...args];
    const env = { ...process.env, NODE_OPTIONS: '', TS_NODE_PROJECT: require.resolve('../../../../tsconfig.json') };
    this.#child = spawn(command!, rest, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.#ended = once(this.#child, 'close');
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until the output matches; throws with the output when the program ends before. */
  async prints(expected: RegExp): Promise<void> {
    for (const end = Date.now() + 20_000; !expected.test(this.output); await sleep(20)) {
      if (!this.running || Date.now() > end) throw new Error(`no ${expected} in the output:\n${this.output}`);
    }
  }

  /** Sends a signal if one is given, waits for the end, and gives the exit code. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal && this.running) this.#child.kill(signal);
    await this.#ended;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}
