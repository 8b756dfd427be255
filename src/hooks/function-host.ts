// SPDX-License-Identifier: MIT
/**
 * The program's side of a hook that is a function. Functions cannot be passed to another thread, so it is called in the
 * thread of the program, and the thread of the interface (function-hook.ts) waits for each answer:
 *
 *   thread of the interface                       thread of the program
 *   { kind: 'frame', id, bytes }        ---->     hook.frame(Frame.of(bytes), nic)
 *   waits for `signal` to become id     <----     { kind: 'answer', id, verdict }, signal = id
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { types } from 'node:util';

import { Frame } from '../packet/frame';
import { describe, type HookContext, type HookExport, wrongDelay, wrongFrame } from './contract';
import { HookTimers } from './host';
import { checkedHook, type LoadedHook } from './load';

/** What the thread of the interface needs to call the function. The port is transferred to it. */
export interface FunctionLink {
  port: MessagePort;
  /** One word: the id of the question that was answered last. */
  signal: SharedArrayBuffer;
  name: string;
  whole: boolean;
}

/** The questions of the thread. Each is answered. */
export type Question = { id: number } & (
  | { kind: 'start'; interface: string; mac: string; generation: number }
  | { kind: 'frame'; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'stop' }
);

/** An error as data: errors keep their name and stack only this way. */
export interface ThrownError {
  name: string;
  message: string;
  stack: string | undefined;
}

/** What the program says: answers, and what the function does besides. */
export type Said =
  | { kind: 'answer'; id: number; verdict: unknown; error: ThrownError | null }
  | { kind: 'inject'; bytes: Uint8Array; delay: number }
  | { kind: 'log'; text: string }
  /** Something that the function left behind has failed: a timer. */
  | { kind: 'failed'; error: ThrownError };

/** What messages call such a hook, and what the record of the interface has in place of its file. */
export const FUNCTION_FILE = 'a function of the program';

/** A hook that is a function, or an object with functions, of this program. */
export class FunctionHook {
  private readonly hook: LoadedHook;

  /** Throws a HOOK error for what is no hook. */
  constructor(exported: HookExport) {
    this.hook = checkedHook(FUNCTION_FILE, exported, null);
  }

  /** A link for one thread, which is used until the thread asks the hook to stop. */
  connect(): FunctionLink {
    const { port1, port2 } = new MessageChannel();
    const signal = new SharedArrayBuffer(4);
    const caller = new Caller(this.hook, port1);
    const word = new Int32Array(signal);
    port1.on('message', (question: Question) => {
      caller.answer(question);
      Atomics.store(word, 0, question.id);
      Atomics.notify(word, 0);
    });
    port1.unref();
    const { name, whole } = this.hook;
    return { port: port2, signal, name, whole };
  }
}

class Caller {
  private readonly timers: HookTimers;
  private context: HookContext | null = null;

  constructor(
    private readonly hook: LoadedHook,
    private readonly port: MessagePort,
  ) {
    this.timers = new HookTimers((error) => this.say({ kind: 'failed', error: thrown(error) }));
    port.on('close', () => this.timers.clear());
  }

  answer(question: Question): void {
    const { id } = question;
    try {
      this.say({ kind: 'answer', id, verdict: sendable(this.verdictOn(question)), error: null });
    } catch (error) {
      this.say({ kind: 'answer', id, verdict: undefined, error: thrown(error) });
    }
    if (question.kind === 'stop') this.port.close();
  }

  private verdictOn(question: Question): unknown {
    switch (question.kind) {
      case 'start':
        this.context = this.contextOf(question);
        return this.hook.start?.(this.context);
      case 'frame':
        return this.hook.frame(Frame.of(question.bytes), this.context as HookContext);
      case 'stop':
        this.timers.clear();
        return this.hook.stop?.();
    }
  }

  private say(said: Said): void {
    this.port.postMessage(said);
  }

  private contextOf({ interface: name, mac, generation }: Question & { kind: 'start' }): HookContext {
    const { timers } = this;
    return {
      interface: name,
      mac,
      generation,
      inject: (frame, delay = 0) => {
        const wrong = wrongFrame(frame) ?? wrongDelay(delay);
        if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
        this.say({ kind: 'inject', bytes: Uint8Array.from(frame), delay });
      },
      after: (milliseconds, callback) => timers.after(milliseconds, callback),
      every: (milliseconds, callback) => timers.every(milliseconds, callback),
      log: (text) => this.say({ kind: 'log', text: String(text) }),
    };
  }
}

/** A verdict that can be sent: bytes are copied without the buffer around them. Throws for what is no verdict. */
function sendable(verdict: unknown): unknown {
  if (verdict === undefined || verdict === 'pass' || verdict === 'drop') return verdict;
  if (types.isUint8Array(verdict)) return Uint8Array.from(verdict);
  if (typeof verdict === 'object' && verdict !== null && 'delay' in verdict) {
    const { delay, frame } = verdict as { delay: unknown; frame?: unknown };
    if (typeof delay === 'number' && (frame === undefined || types.isUint8Array(frame)))
      return { delay, frame: frame && Uint8Array.from(frame) };
  }
  throw new TypeError(`answered with ${describe(verdict)}; an answer is 'pass', 'drop', a frame or a delay`);
}

function thrown(error: unknown): ThrownError {
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack };
  return { name: 'Error', message: `threw ${describe(error)}`, stack: undefined };
}
