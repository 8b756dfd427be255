// SPDX-License-Identifier: MIT
/**
 * A network namespace with a looping interface in it, for one test: frames go through the kernel's
 * real stack. Everything is removed by `await using`, close(), or the end of the process, however it
 * ends.
 */
import { spawnSync } from 'node:child_process';

import { VnetError } from '../errors';
import { Netns } from '../link/netns';
import { command } from '../native/command';
import { systemEnvironment } from '../native/environment';
import type { Nic } from '../nic/nic';
import { Frame } from '../packet/frame';
import { summaryOf } from '../packet/summary';
import { FrameSocket } from './frame-socket';
import { differences, type FrameMatcher } from './matcher';
import { Throwaway, type ThrowawayOptions } from './throwaway';

export type LabOptions = ThrowawayOptions;

export interface ExpectOptions {
  /** Milliseconds to wait; 1000 unless given. */
  within?: number;
}

const LOOK_MS = 2;

export class Lab implements AsyncDisposable {
  /** Frames that were received and that nobody has expected yet. */
  private waiting: Frame[] = [];
  private open = true;

  private constructor(
    private readonly throwaway: Throwaway,
    private readonly socket: FrameSocket,
  ) {}

  /** Makes namespace and interface. Needs root. */
  static async create(options: LabOptions = {}): Promise<Lab> {
    const throwaway = await Throwaway.create('vl', options);
    try {
      using netns = Netns.named(throwaway.netns);
      return new Lab(throwaway, FrameSocket.open(netns, throwaway.nic.name));
    } catch (error) {
      await throwaway.close();
      throw error;
    }
  }

  /** Name of the namespace, as `ip netns` has it. */
  get netns(): string {
    return this.throwaway.netns;
  }

  get nic(): Nic {
    return this.throwaway.nic;
  }

  /** Lets the interface transmit a frame, as an application would. It passes the loop, and the hook. */
  send(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  /** Waits for a received frame that fits, and takes it away. Rejects with what came instead, and how it differs. */
  async expect(matcher: FrameMatcher, { within = 1000 }: ExpectOptions = {}): Promise<Frame> {
    for (const end = performance.now() + within; ; ) {
      this.receive();
      const found = this.waiting.findIndex((frame) => differences(matcher, frame).length === 0);
      if (found >= 0) return this.waiting.splice(found, 1)[0] as Frame;
      // no hint: what came instead is the message
      if (performance.now() > end) throw new VnetError('EXPECTATION', 'the expected frame', `did not come within ${within} ms\n${this.explain(matcher)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Waits, and rejects if a frame that fits is received. */
  async expectNone(matcher: FrameMatcher, { within = 100 }: ExpectOptions = {}): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, within));
    this.receive();
    const frame = this.waiting.find((candidate) => differences(matcher, candidate).length === 0);
    // no hint: the frame is the message
    if (frame) throw new VnetError('EXPECTATION', 'a frame that was not to come', `came\n${summaryOf(frame).join('\n')}`);
  }

  /** Forgets the frames that were received so far. */
  forget(): void {
    this.receive();
    this.waiting = [];
  }

  /** Runs a program in the namespace to its end; what it printed. Throws if it fails. */
  run(program: string, ...args: string[]): string {
    using netns = Netns.named(this.netns);
    return netns.run(() => command(program, args, process.env));
  }

  private receive(): void {
    for (let frame = this.socket.receive(); frame; frame = this.socket.receive()) this.waiting.push(Frame.of(frame));
  }

  /** The frames that came, those that differ least first. */
  private explain(matcher: FrameMatcher): string {
    if (this.waiting.length === 0) return 'no other frame came either';
    const frames = this.waiting.map((frame) => ({ frame, wrong: differences(matcher, frame) })).sort((a, b) => a.wrong.length - b.wrong.length);
    const shown = frames.slice(0, 5).map(({ frame, wrong }) => [...summaryOf(frame), ...wrong.map((line) => `- ${line}`)].join('\n'));
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

/** Whether kernel tests can run here; else the reason, for a test's `skip`. */
export function cannotRun(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root';
  return spawnSync('ip', ['-V'], { env: systemEnvironment() }).status === 0 ? false : 'needs iproute2';
}
