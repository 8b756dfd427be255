// SPDX-License-Identifier: MIT
/**
 * Holds the hook of one interface: calls it, and keeps its errors and wrong answers away from the loop. A hook's answer
 * is reduced to one of three numbers, and to a time if the frame is delayed, so that nothing is allocated per frame.
 * The hook's timers and the frames that it injects are held here, too.
 */
import { types } from 'node:util';

import type { Concerns } from '../faults/concerns';
import type { Frame } from '../packet/frame';
import { clock } from '../native/clock';
import {
  type Delay,
  describe,
  type HookContext,
  type HookTimer,
  type OnHookError,
  wrongDelay,
  wrongFrame,
} from './contract';
import { errorText } from './error-text';
import type { LoadedHook } from './load';

// The timers of one hook: they end with the hook, and an error in one counts as the hook's.

export class HookTimers {
  private readonly running = new Set<NodeJS.Timeout>();

  constructor(private readonly failed: (error: unknown) => void) {}

  after(milliseconds: number, callback: () => void): HookTimer {
    return this.keep((end) =>
      setTimeout(() => {
        end();
        this.call(callback);
      }, milliseconds),
    );
  }

  every(milliseconds: number, callback: () => void): HookTimer {
    return this.keep(() => setInterval(() => this.call(callback), milliseconds));
  }

  /** Ends all timers. */
  clear(): void {
    for (const timer of this.running) clearTimeout(timer);
    this.running.clear();
  }

  private keep(start: (end: () => void) => NodeJS.Timeout): HookTimer {
    const cancel = (): void => {
      clearTimeout(timer);
      this.running.delete(timer);
    };
    const timer = start(cancel);
    this.running.add(timer);
    return { cancel };
  }

  private call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.failed(error);
    }
  }
}

export const PASS = 0;
export const DROP = 1;
export const REPLACE = 2;

/** A Delay as faults answer it. */
export interface Wait extends Delay {
  /** When the wait ends, in milliseconds of the thread's clock. */
  readonly until: number;
  /** Names the frame for FaultContext.hasten(); 0: nothing does. */
  readonly ticket: number;
}

/** The interface, as faults see it. */
export interface FaultContext extends HookContext {
  /** When the frame was taken out of the ring, in milliseconds of the thread's clock. */
  readonly now: number;
  /** Makes the frame with this ticket due at once, if it still waits. */
  hasten(ticket: number): void;
  /** Takes the interface's carrier away for that many milliseconds. */
  loseCarrier(ms: number): void;
  /** Notes that a rule, by its index, does something to the frame being judged, for a recorder. */
  noteFault(rule: number): void;
  /** Makes the frame with this ticket due at another time, or drops it with Infinity, if it still waits. */
  move(ticket: number, due: number): void;
}

export interface HookHostParts {
  interface: string;
  mac: string;
  injections: Injections;
  /** Counts an error of the hook. */
  count(): void;
  /** Reports what happened; called as often as it happens. */
  report(text: string): void;
  log(text: string): void;
  /** Called when frames wait and no poll has been asked for. */
  wake(): void;
  /** As in FaultContext. */
  hasten(ticket: number): void;
  loseCarrier(ms: number): void;
  noteFault(rule: number): void;
  move(ticket: number, due: number): void;
}

/** What becomes of the frames of a hook whose start() has failed. */
const AFTER_FAILED_START: Readonly<Record<OnHookError, string>> = {
  pass: 'its start failed, and it judges the frames all the same',
  drop: 'its start failed: all frames are dropped until another takes over',
  detach: 'its start failed, and it is taken off: all frames pass unjudged',
};

export class HookHost {
  /** The bytes to send instead of the frame, after call() has returned REPLACE. */
  replacement: Uint8Array | null = null;
  /**
   * After call() has returned PASS or REPLACE: by how many milliseconds the frame is delayed, until when, and its
   * ticket.
   */
  delay = 0;
  due = 0;
  ticket = 0;
  /** The time of the frames that are being judged. */
  now = 0;
  private hook: LoadedHook | null = null;
  private context: HookContext | null = null;
  private timers: HookTimers | null = null;
  private generation = 0;
  /** start() failed while errors drop frames: all frames are dropped, and the hook is not called. */
  private unready = false;
  onError: OnHookError = 'pass';
  /** Until when all frames are dropped, in milliseconds; 0: they are not. */
  private cutUntil = 0;

  constructor(private readonly parts: HookHostParts) {}

  get active(): LoadedHook | null {
    return this.hook;
  }

  get wholeSuperpackets(): boolean {
    return this.hook === null || this.hook.whole;
  }

  /** Replaces the hook; null for none. Returns why it has not started, in words for the user; null if it has. */
  use(hook: LoadedHook | null): string | null {
    this.end();
    if (hook === null) return null;
    const timers = new HookTimers((error) => this.failed(hook, error));
    this.hook = hook;
    this.timers = timers;
    this.context = this.contextOf(hook, timers, this.generation++);
    try {
      hook.start?.(this.context);
      return null;
    } catch (error) {
      this.failed(hook, error);
      this.unready = this.onError === 'drop';
      if (this.unready)
        this.parts.log(`hook ${hook.name} has not started: all frames are dropped until another takes over`);
      return `hook ${errorText(error, hook.file)}; ${AFTER_FAILED_START[this.onError]}`;
    }
  }

  private end(): void {
    const { hook, timers } = this;
    this.hook = this.context = this.timers = null;
    this.unready = false;
    timers?.clear();
    if (!hook) return;
    try {
      hook.stop?.();
    } catch (error) {
      this.failed(hook, error);
    }
  }

  /** Drops all frames from now on for `ms` milliseconds, and shows none to the hook. */
  cut(ms: number): void {
    this.cutUntil = clock.now() + ms;
  }

  private get isCut(): boolean {
    if (this.cutUntil === 0) return false;
    if (clock.now() < this.cutUntil) return true;
    this.cutUntil = 0;
    return false;
  }

  /** What tells which frames have to be shown; null if all have to be. */
  get concerns(): Concerns | null {
    return this.unready || this.isCut || this.hook === null ? null : (this.hook.concerns ?? null);
  }

  /** The most frames that may wait at a time. */
  get waitsMost(): number {
    return this.hook?.waitsMost ?? Infinity;
  }

  /** When the hook has to decide about frames that wait, in milliseconds; Infinity if it has not. */
  get decidesAt(): number {
    return this.hook?.waiting?.decidesAt() ?? Infinity;
  }

  /** Has the hook decide about frames that wait, if it is time. Never throws. */
  decide(now: number): void {
    const { hook, context } = this;
    if (!hook?.waiting || context === null || hook.waiting.decidesAt() > now) return;
    try {
      hook.waiting.decide(now, context);
    } catch (error) {
      this.failed(hook, error);
    }
  }

  /** Whether a superpacket passes whole without being shown. */
  ignores(superpacket: Frame): boolean {
    return !this.unready && !this.isCut && this.hook?.ignores?.(superpacket) === true;
  }

  /** The verdict on a frame: PASS, DROP or REPLACE. Never throws. */
  call(frame: Frame): number {
    const { hook, context } = this;
    this.delay = 0;
    if (this.isCut) return DROP;
    if (hook === null || context === null) return PASS;
    if (this.unready) return DROP;
    try {
      const verdict = hook.frame(frame, context);
      if (verdict === 'pass' || verdict === undefined) return PASS;
      if (verdict === 'drop') return DROP;
      return typeof verdict === 'object' && verdict !== null && !types.isUint8Array(verdict) && 'delay' in verdict
        ? this.later(verdict, frame)
        : this.replace(verdict, frame);
    } catch (error) {
      return this.fail(hook, errorText(error, hook.file));
    }
  }

  private replace(verdict: unknown, frame: Frame): number {
    const wrong = types.isUint8Array(verdict) ? wrongFrame(verdict, frame.length) : describe(verdict);
    if (wrong !== null) return this.refuse(`${wrong}; an answer is 'pass', 'drop', a frame or a delay`);
    this.replacement = verdict as Uint8Array;
    return REPLACE;
  }

  private later(answer: Delay & Partial<Wait>, frame: Frame): number {
    const { delay, frame: replacement, until, ticket } = answer;
    const wrong = wrongDelay(delay);
    if (wrong !== null) return this.refuse(wrong);
    const verdict = replacement === undefined ? PASS : this.replace(replacement, frame);
    if (replacement !== undefined && verdict !== REPLACE) return verdict;
    const isFaults = this.hook?.isFaults === true;
    this.delay = delay;
    this.due = isFaults ? (until as number) : clock.now() + delay;
    this.ticket = isFaults ? (ticket as number) : 0;
    return verdict;
  }

  /** Reports that the hook's last answer is wrong; returns the verdict that applies instead. */
  refuse(why: string): number {
    const { hook } = this;
    return this.fail(hook, `${hook?.place ?? ''}: answered with ${why}`);
  }

  /** Reports a frame that could not be shown, or an answer not carried out; returns the verdict that applies. */
  unjudged(error: unknown): number {
    const { hook } = this;
    return this.fail(hook, errorText(error, hook?.file ?? 'no hook'));
  }

  /** Reports that the hook failed on a frame; returns the verdict that applies. */
  private fail(hook: LoadedHook | null, what: string): number {
    this.delay = 0;
    const verdict = this.onError === 'drop' ? DROP : PASS;
    this.fault(hook, `${what}; the frame ${verdict === DROP ? 'is dropped' : 'passes unjudged'}`);
    return verdict;
  }

  /** Reports a failure in something that a hook left behind: a timer, a promise. */
  failedLater(error: unknown): void {
    this.fault(this.hook, errorText(error, this.hook?.file ?? 'a hook that is gone'));
  }

  private failed(hook: LoadedHook, error: unknown): void {
    this.fault(hook, errorText(error, hook.file));
  }

  private fault(hook: LoadedHook | null, what: string): void {
    this.parts.count();
    this.parts.report(`hook ${what}`);
    if (this.onError !== 'detach' || hook === null || this.hook !== hook) return;
    this.end();
    this.parts.log(`hook ${hook.name} taken off after an error: all frames pass unjudged`);
  }

  private contextOf(hook: LoadedHook, timers: HookTimers, generation: number): FaultContext {
    const { parts } = this;
    const now = (): number => this.now;
    const present = (): void => {
      if (this.hook !== hook)
        throw new Error(
          `hook ${hook.name} has been replaced, but something of it still runs: a timer that is not the context's?`,
        );
    };
    return {
      interface: parts.interface,
      mac: parts.mac,
      generation,
      get now() {
        return now();
      },
      inject: (frame, delay = 0) => {
        present();
        const wrong = wrongDelay(delay);
        if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
        parts.injections.add(frame, delay);
        parts.wake();
      },
      hasten: (ticket) => parts.hasten(ticket),
      loseCarrier: (ms) => parts.loseCarrier(ms),
      noteFault: (rule) => parts.noteFault(rule),
      move: (ticket, due) => parts.move(ticket, due),
      after: (milliseconds, callback) => {
        present();
        return timers.after(milliseconds, callback);
      },
      every: (milliseconds, callback) => {
        present();
        return timers.every(milliseconds, callback);
      },
      log: (text) => parts.log(`${hook.name}: ${String(text).replace(/\s*\n\s*/g, ' ')}`),
    };
  }
}

// Injected frames, which the next poll sends. They come from hooks, their timers, and nic.inject().

/** The most frames that may wait, and the most bytes of them: without limits the queue would grow without end. */
export const INJECTIONS_MAX = 16384;
const BYTES_MAX = 64 << 20;

export class Injections {
  private waiting: Uint8Array[] = [];
  /** When each of them may be sent, in milliseconds; 0 for at once. */
  private dues: number[] = [];
  private next = 0;
  private bytes = 0;

  get length(): number {
    return this.waiting.length - this.next;
  }

  /**
   * Copies a frame into the queue, to be sent after `delay` milliseconds. Throws a RangeError if it is not a frame, or
   * if the queue is full.
   */
  add(frame: Uint8Array, delay = 0): void {
    const wrong = wrongFrame(frame);
    if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
    if (this.length >= INJECTIONS_MAX || this.bytes + frame.length > BYTES_MAX) {
      throw new RangeError(`cannot inject: ${this.length} frames wait already`);
    }
    this.waiting.push(new Uint8Array(frame));
    this.dues.push(delay > 0 ? clock.now() + delay : 0);
    this.bytes += frame.length;
  }

  /** The first frame in the queue; undefined if there is none. */
  peek(): Uint8Array | undefined {
    return this.waiting[this.next];
  }

  /** When that frame may be sent, in milliseconds. */
  get due(): number {
    return this.dues[this.next] as number;
  }

  shift(): void {
    this.bytes -= (this.waiting[this.next] as Uint8Array).length;
    this.next++;
    if (this.next === this.waiting.length) {
      this.waiting = [];
      this.dues = [];
      this.next = 0;
    }
  }
}
