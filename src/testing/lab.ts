// SPDX-License-Identifier: MIT
/**
 * A network namespace with a looping interface in it, for one test: frames go through the kernel's real stack.
 * Everything is removed by `await using`, by close(), or when the process ends, however it ends.
 */
import { spawnSync } from 'node:child_process';

import { usageError, VnetError } from '../errors';
import type { RulesInput } from '../faults/document';
import type { Fault } from '../faults/log';
import { type HookExport, isHookExport } from '../hooks/contract';
import { Netns } from '../link/netns';
import { command } from '../native/command';
import { systemEnvironment } from '../native/inherited';
import type { Nic } from '../nic/nic';
import type { OnHookError } from '../options/values';
import { Frame, summaryOf } from '../packet/frame';
import { differences, type FrameMatcher } from './expected';
import { FrameSocket } from './frame-socket';
import { runIn, type RunOptions } from './run';
import { chosenSeed, noteSeed, type SeedChoice, withSeed } from './seed';
import { Throwaway, type ThrowawayOptions } from './throwaway';

export interface LabOptions extends Omit<ThrowawayOptions, 'hook' | 'seed'> {
  /** A hook: its file, or a function that is called in this thread; see `Nic.hook()`. */
  hook?: string | URL | HookExport;
  /** Seed of the faults; see `Lab.faults()`. */
  seed?: SeedChoice;
}

export interface ExpectOptions {
  /** Milliseconds to wait; the default is 1000, and 100 for expectNone(). */
  within?: number;
}

const LOOK_MS = 2;

export class Lab implements AsyncDisposable {
  /** Received frames that no expect() has taken yet. */
  private waiting: Frame[] = [];
  private open = true;
  /** The seed of the faults in place; null without faults. */
  private seedInUse: number | null = null;
  /** Whether the hook is a function, which this thread calls. */
  private judgesHere = false;

  private constructor(
    private readonly throwaway: Throwaway,
    private readonly socket: FrameSocket,
  ) {}

  /** Makes a namespace and an interface in it. Needs root. */
  static async create({ hook, seed, ...options }: LabOptions = {}): Promise<Lab> {
    const chosen = options.faults === undefined && seed === undefined ? undefined : chosenSeed(seed);
    const throwaway = await Throwaway.create('vl', {
      ...options,
      ...(hook !== undefined && !isHookExport(hook) && { hook }),
      ...(chosen !== undefined && { seed: chosen }),
    });
    try {
      using netns = Netns.named(throwaway.netns);
      const lab = new Lab(throwaway, FrameSocket.open(netns, throwaway.nic.name));
      if (isHookExport(hook)) await lab.hook(hook, options.onHookError);
      await lab.noteFaults();
      return lab;
    } catch (error) {
      await throwaway.close();
      throw error;
    }
  }

  /** Name of the namespace for `ip netns`. */
  get netns(): string {
    return this.throwaway.netns;
  }

  get nic(): Nic {
    return this.throwaway.nic;
  }

  /** The seed of the faults in place, for messages of your own; null without faults. */
  get seed(): number | null {
    return this.seedInUse;
  }

  /** As `Nic.hook()`: a file, a function that is called in this thread, or null for none. */
  async hook(hook: string | URL | HookExport | null, onError?: OnHookError): Promise<void> {
    await this.nic.hook(hook, onError);
    this.judgesHere = isHookExport(hook);
  }

  /**
   * Puts faults in place, as `Nic.faults()`; null removes them. `seed: 'random'` takes another seed in each run. If
   * VNET_BPF_SEED is set, that is the seed, whatever the test says.
   *
   * Errors of this object end with the seed and how to repeat the faults, and so does the output of a process that ends
   * with a failure.
   */
  async faults(rules: RulesInput | null, { seed }: { seed?: SeedChoice } = {}): Promise<void> {
    const chosen = rules === null ? undefined : chosenSeed(seed);
    await this.nic.faults(rules, chosen === undefined ? {} : { seed: chosen });
    await this.noteFaults();
  }

  /** The faults that have happened since they were put in place. */
  faultLog(): Promise<Fault[]> {
    return this.nic.faultLog();
  }

  /** Drops all frames for `ms` milliseconds from now on; resolves at once. */
  cut(ms: number): Promise<void> {
    return this.nic.cut(ms);
  }

  /** Takes the carrier away, for `forMs` milliseconds or until it is restored, or restores it: `Nic.carrier()`. */
  async carrier(direction: 'down' | 'up', options: { forMs?: number } = {}): Promise<void> {
    await this.nic.carrier(direction, options);
  }

  private async noteFaults(): Promise<void> {
    this.seedInUse = (await this.nic.faultsReport())?.seed ?? null;
    if (this.seedInUse !== null) noteSeed(this.seedInUse);
  }

  /** Makes the interface transmit a frame, as an application would. The frame passes the loop, and the hook. */
  send(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  /**
   * Waits for a received frame that fits, and takes it. Rejects with the frames that came instead, and their
   * differences.
   */
  async expect(matcher: FrameMatcher, { within = 1000 }: ExpectOptions = {}): Promise<Frame> {
    for (const end = performance.now() + within; ;) {
      this.receive();
      const found = this.waiting.findIndex((frame) => differences(matcher, frame).length === 0);
      if (found >= 0) return this.waiting.splice(found, 1)[0] as Frame;
      if (performance.now() > end)
        throw withSeed(
          // no hint: what came instead is the message
          new VnetError(
            'EXPECTATION',
            'the expected frame',
            `did not come within ${within} ms\n${this.explain(matcher)}`,
          ),
          this.seedInUse,
        );
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Waits, and rejects if a frame that fits has been received. */
  async expectNone(matcher: FrameMatcher, { within = 100 }: ExpectOptions = {}): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, within));
    this.receive();
    const frame = this.waiting.find((candidate) => differences(matcher, candidate).length === 0);
    if (frame)
      throw withSeed(
        // no hint: the frame is the message
        new VnetError('EXPECTATION', 'a frame that was not to come', `came\n${summaryOf(frame).join('\n')}`),
        this.seedInUse,
      );
  }

  /** Discards the frames received so far. */
  forget(): void {
    this.receive();
    this.waiting = [];
  }

  /**
   * Runs a program in the namespace to its end, and blocks this thread meanwhile; returns its output. Throws if it
   * fails.
   */
  run(program: string, ...args: string[]): string;
  /** The same without blocking, with the arguments in a list. Rejects if it fails. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
  run(program: string, ...args: readonly unknown[]): string | Promise<string> {
    const [list, options] = args as [readonly string[] | string | undefined, RunOptions | undefined];
    if (Array.isArray(list)) return this.runBeside(program, list as readonly string[], options);
    if (this.judgesHere)
      throw usageError(
        `run('${program}', ...)`,
        'blocks this thread, in which the hook is called',
        `await lab.run('${program}', [...]) runs it beside this thread`,
      );
    try {
      using netns = Netns.named(this.netns);
      return netns.run(() => command(program, args as readonly string[], process.env));
    } catch (error) {
      throw withSeed(error, this.seedInUse);
    }
  }

  private async runBeside(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    try {
      return await runIn(this.netns, program, args, options);
    } catch (error) {
      throw withSeed(error, this.seedInUse);
    }
  }

  private receive(): void {
    for (let frame = this.socket.receive(); frame; frame = this.socket.receive()) this.waiting.push(Frame.of(frame));
  }

  /** The frames that came, those that differ least first. */
  private explain(matcher: FrameMatcher): string {
    if (this.waiting.length === 0) return 'no other frame came either';
    const frames = this.waiting
      .map((frame) => ({ frame, wrong: differences(matcher, frame) }))
      .sort((a, b) => a.wrong.length - b.wrong.length);
    const shown = frames
      .slice(0, 5)
      .map(({ frame, wrong }) => [...summaryOf(frame), ...wrong.map((line) => `- ${line}`)].join('\n'));
    const more = frames.length > shown.length ? [`and ${frames.length - shown.length} more`] : [];
    return [...shown, ...more].join('\n\n');
  }

  /** Removes everything. Idempotent. */
  async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    this.socket.close();
    await this.throwaway.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Whether kernel tests can run here: false if they can, else the reason, for a test's `skip`. */
export function cannotRun(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root';
  return spawnSync('ip', ['-V'], { env: systemEnvironment() }).status === 0 ? false : 'needs iproute2';
}
