// SPDX-License-Identifier: MIT
/** A program that runs beside a test: a server, a capture. */
import { spawn, type ChildProcess } from 'node:child_process';

import type { Test } from 'tap';

import { SLOW } from './cli';
import { inside } from './netns';

export class Background {
  /** Everything it has printed, on both outputs. */
  output = '';
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;

  private constructor(private readonly child: ChildProcess) {
    const add = (data: Buffer): void => void (this.output += data.toString());
    child.stdout?.on('data', add);
    child.stderr?.on('data', add);
    child.on('error', (error) => add(Buffer.from(error.message)));
    this.ended = new Promise((resolve) => child.on('close', () => resolve()));
  }

  /** Starts a program in a namespace; it is killed when the test ends. */
  static start(t: Test, netns: string, program: string, args: readonly string[]): Background {
    const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
    const child = spawn(nsenter, [...rest, program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
    return new Background(child);
  }

  /** Waits until the program has printed a match; throws an error with its output if it does not. */
  async says(what: RegExp, ms = 5000): Promise<void> {
    const end = Date.now() + ms * SLOW;
    while (!what.test(this.output)) {
      if (Date.now() > end || this.child.exitCode !== null)
        throw new Error(`${this.child.spawnargs.join(' ')} never said ${what}: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Asks the program to end, and waits until it has ended. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    this.child.kill(signal);
    await this.ended;
  }
}
