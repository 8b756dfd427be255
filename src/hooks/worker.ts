// SPDX-License-Identifier: MIT
/**
 * The thread of one hook, and its entry: polls one interface, lets the hook judge the frames, and carries out the
 * orders of the main thread. Import types from it, never values.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

import { MappedMemory, trackMappings } from 'libbpf-ts';

import { PollLoop } from '../datapath/loop';
import { CPU_LOOK_MS, OneCpu } from '../datapath/one-cpu';
import { faultOf } from '../datapath/outcomes';
import { Poller } from '../datapath/poller';
import { increment } from '../datapath/shared-memory';
import { groOf, mapParts, type Own, paceOf, type PollRequest } from '../datapath/worker-queue';
import { type ErrorCode, VnetError } from '../errors';
import { recordedRule } from '../faults/language';
import { LogWriter } from '../faults/log-writer';
import type { FaultsWish, RulesWish } from '../faults/source';
import { BATCH, CONTROL } from '../layout';
import { clock } from '../native/clock';
import { keepNodeQuiet } from '../native/node';
import type { OnHookError } from './contract';
import { Reports } from './error-text';
import { type BellRope, HookLoop } from './event-loop';
import { HookedPoller } from './hooked-poller';
import { HookHost, Injections } from './host';
import { Judge } from './judge';
import {
  faultHook,
  type FaultHook,
  type FaultsReport,
  impairmentHook,
  loadFaults,
  requireNoCarrierLoss,
} from './fault-hook';
import { functionHook } from './function-hook';
import type { FunctionLink } from './function-host';
import { type LoadedHook, loadHook } from './load';
import { Arena, ARENA_BYTES, Plan } from './plan';
import { WaitingFrames } from './waiting';

// The messages between the main thread and the thread of a hook.

export interface HookWorkerData {
  interface: string;
  /** Name of its namespace, for hints. */
  netns: string | null;
  mac: string;
  /** As in PollWorkerData. */
  spread: number;
  /** Whether it has another end, and so a carrier that can be taken away. */
  hasPeer: boolean;
  /** Words of VITALS. */
  vitals: SharedArrayBuffer;
  /** Where the thread records its mappings, for the main thread, which outlives it. */
  mappings: SharedArrayBuffer;
}

/** A frame as the debugger shows it. */
export interface SteppedFrame {
  bytes: Uint8Array;
  /** Whether it is not segmented yet: its TCP or UDP checksum means nothing. */
  superpacket: boolean;
}

/** Orders of the main thread. Each is answered when it has been carried out. */
export type HookOrder =
  /** Loads a hook in place of the previous one; null removes that. */
  | { kind: 'use'; file: string | null; onError: OnHookError }
  /** The same with a hook that is a function of the program. The link's port is transferred. */
  | { kind: 'use-function'; link: FunctionLink; onError: OnHookError }
  /** Drops all frames for that many milliseconds. */
  | { kind: 'cut'; ms: number }
  /**
   * Puts faults in place of a hook, or of other faults. `logFds`: the files of their log, open for appending; `set`: the
   * number of the set of rules, for recorders.
   */
  | { kind: 'faults'; faults: FaultsWish; logFds: readonly number[]; set: number }
  /** What the faults in place have done; null if there are none. */
  | { kind: 'report' }
  /**
   * Starts polling; nothing else polls. `deadly`: frameMark() of frames to drop unseen, because threads ended over
   * them.
   */
  | { kind: 'poll'; request: PollRequest; bell: BellRope; deadly: readonly number[] }
  | { kind: 'inject'; frame: Uint8Array }
  /** From now on frames stay in the ring. */
  | { kind: 'pause' }
  | { kind: 'resume' }
  /** The next frame in the ring, or null; only while paused. */
  | { kind: 'peek' }
  /** Decides on that frame. */
  | { kind: 'step'; verdict: 'pass' | 'drop' | Uint8Array };

/** The answers to orders. */
export interface HookAnswers {
  /** Why the hook has not started; null if it has. */
  use: string | null;
  'use-function': string | null;
  cut: null;
  /** The rules, as recordings name them. */
  faults: string[];
  report: FaultsReport | null;
  poll: null;
  inject: null;
  pause: null;
  resume: null;
  peek: SteppedFrame | null;
  step: boolean;
}

/** `look`: a word of COMMAND has changed. */
export type HookRequest = { id: number; order: HookOrder } | 'look';

/** An error as data: errors lose their class on the way between threads. */
export interface SentError {
  code: ErrorCode;
  message: string;
  hint: string | undefined;
  stack: string | undefined;
}

export type HookReply =
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'failed'; id: number; error: SentError }
  | { kind: 'queue' | 'stalled' | 'ended' }
  /** A fault takes the carrier away for that many milliseconds. */
  | { kind: 'carrier'; ms: number }
  | { kind: 'log' | 'error'; text: string };

// An interface with a hook, assembled in the thread that polls it.

export interface HookedInterface {
  readonly loop: PollLoop;
  readonly poller: HookedPoller;
  /** Counts an error of the hook. */
  countError(): void;
  /** Unmaps everything; the loop must have ended. */
  close(): void;
}

export interface HookedEvents {
  queue: () => void;
  stalled: () => void;
}

export interface HookedParts {
  host: HookHost;
  injections: Injections;
  waiting: WaitingFrames;
  /** Words of VITALS. */
  vitals: Int32Array;
  /** As in HookOrder. */
  deadly: readonly number[];
}

/** Opens an interface. Its plain poller must have ended. Throws a BpfError if something cannot be mapped. */
export function openHookedInterface(
  request: PollRequest,
  { host, injections, waiting, vitals, deadly }: HookedParts,
  events: HookedEvents,
): HookedInterface {
  const mappings: { close(): void }[] = [];
  const close = (): void => mappings.forEach((mapping) => mapping.close());
  const own: Own = (mapping) => {
    mappings.push(mapping);
    return mapping;
  };
  try {
    const { batchOf, data, dataAddress, ...parts } = mapParts(request, own);
    const batch = batchOf(BATCH.max);
    const plain = new Poller({ ...parts, data, dataAddress, batch, gro: groOf(request, data, own) });
    const arena = new Arena(own(MappedMemory.map({ length: ARENA_BYTES })));
    const plan = new Plan();
    const judge = new Judge(data, dataAddress, arena, plan, host, waiting);
    const poller = new HookedPoller({
      ...parts,
      data,
      dataAddress,
      batch,
      plain,
      host,
      arena,
      plan,
      judge,
      injections,
      waiting,
      vitals,
      deadly,
    });
    const { options, gate, ring, control } = parts;
    const loop = new PollLoop({
      options,
      poller,
      gate,
      ring: { isEmpty: () => ring.isEmpty() && !poller.hasMore, consumerPosition: () => ring.consumerPosition() },
      control,
      command: new Int32Array(request.command),
      ...paceOf(request),
      onQueue: events.queue,
      onStalled: events.stalled,
    });
    return { loop, poller, countError: () => increment(control, CONTROL.hooksErrors), close };
  } catch (error) {
    close();
    throw error;
  }
}

class HookWorker {
  private readonly injections = new Injections();
  private readonly waiting = new WaitingFrames();
  private readonly reports = new Reports((text) => this.say({ kind: 'error', text }));
  private readonly host: HookHost;
  private polled: HookedInterface | undefined;
  private loop: HookLoop | undefined;
  private faults: FaultHook | null = null;
  /** Number of the set of rules in place. */
  private faultSet = 0;
  /** Errors from before there was a counter. */
  private uncounted = 0;
  private readonly vitals: Int32Array;

  constructor(
    private readonly port: MessagePort,
    private readonly data: HookWorkerData,
  ) {
    this.vitals = new Int32Array(data.vitals);
    this.host = new HookHost({
      interface: data.interface,
      mac: data.mac,
      injections: this.injections,
      count: () => (this.polled ? this.polled.countError() : void this.uncounted++),
      report: (text) => this.reports.add(text),
      log: (text) => this.say({ kind: 'log', text }),
      wake: () => this.loop?.look(),
      hasten: (ticket) => this.waiting.hasten(ticket),
      loseCarrier: (ms) => this.say({ kind: 'carrier', ms }),
      noteFault: (rule) => this.polled?.poller.noteFault(faultOf(this.faultSet, rule)),
      move: (ticket, due) => (due === Infinity ? this.waiting.discard(ticket) : this.waiting.move(ticket, due)),
    });
    // What a hook leaves behind in Node's own timers and promises must not end the thread.
    process.on('uncaughtException', (error) => this.host.failedLater(error));
    process.on('unhandledRejection', (reason) => this.host.failedLater(reason));
  }

  async receive(request: HookRequest): Promise<void> {
    if (request === 'look') return this.loop?.look();
    const { id, order } = request;
    try {
      const value = await this.carryOut(order);
      this.say({ kind: 'answer', id, value });
    } catch (error) {
      this.say({ kind: 'failed', id, error: sendable(error) });
    }
  }

  private async carryOut(order: HookOrder): Promise<HookAnswers[HookOrder['kind']]> {
    switch (order.kind) {
      case 'use':
        return this.use(order.file === null ? null : await loadHook(order.file), order.onError);
      case 'use-function':
        return this.use(functionHook(order.link), order.onError);
      case 'cut':
        this.host.cut(order.ms);
        return null;
      case 'faults': {
        const wish = order.faults;
        const faults = 'impairment' in wish ? null : await this.faultsOf(wish, order.logFds);
        const hook = 'impairment' in wish ? impairmentHook(wish) : faults;
        this.host.onError = 'drop';
        this.faultSet = order.set;
        this.host.use(hook);
        this.faults = faults;
        return faults?.rules.map(recordedRule) ?? [];
      }
      case 'report':
        return this.faults?.report() ?? null;
      case 'poll':
        this.poll(order);
        return null;
      case 'inject':
        this.injections.add(order.frame);
        if (this.loop?.isPaused) this.polled?.poller.flush();
        else this.loop?.look();
        return null;
      case 'pause':
        this.loop?.pause();
        return null;
      case 'resume':
        this.loop?.resume();
        return null;
      case 'peek':
        return this.polled?.poller.peek() ?? null;
      case 'step':
        return this.polled?.poller.step(order.verdict) ?? false;
    }
  }

  private async faultsOf(wish: RulesWish, logFds: readonly number[]): Promise<FaultHook> {
    const faults = await loadFaults(wish);
    if (!this.data.hasPeer) requireNoCarrierLoss(faults.rules, this.data.interface);
    return faultHook(faults, 'file' in wish ? wish.file : null, new LogWriter(logFds));
  }

  private use(hook: LoadedHook | null, onError: OnHookError): string | null {
    this.host.onError = onError;
    this.faults = null;
    return this.host.use(hook);
  }

  private poll({ request, bell, deadly }: HookOrder & { kind: 'poll' }): void {
    const polled = openHookedInterface(
      request,
      { host: this.host, injections: this.injections, waiting: this.waiting, vitals: this.vitals, deadly },
      {
        queue: () => this.say({ kind: 'queue' }),
        stalled: () => this.say({ kind: 'stalled' }),
      },
    );
    this.polled = polled;
    for (; this.uncounted > 0; this.uncounted--) polled.countError();
    const loop = new HookLoop(
      polled.loop,
      new Int32Array(bell.words),
      request.ringFd,
      this.vitals,
      () => this.host.active?.isFaults === true,
      () => this.end(polled, bell),
      (error) => this.giveUp(error),
    );
    bell.port.on('message', () => loop.look());
    this.loop = loop;
  }

  private end(polled: HookedInterface, bell: BellRope): void {
    this.host.use(null);
    this.polled = undefined;
    polled.close();
    this.reports.flush();
    this.say({ kind: 'ended' });
    bell.port.close();
    this.port.close(); // from now on only what the hook has left behind keeps the thread alive
  }

  /** Ends the thread; the main thread continues without it. */
  private giveUp(error: unknown): never {
    console.error(error);
    process.exit(1);
  }

  private say(reply: HookReply): void {
    this.port.postMessage(reply);
  }
}

function sendable(error: unknown): SentError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const known = error instanceof VnetError;
  return { code: known ? error.code : 'INTERNAL', message, hint: known ? error.hint : undefined, stack };
}

if (!parentPort) throw new Error('hooks/worker runs as a worker thread');
keepNodeQuiet();
const data = workerData as HookWorkerData;
trackMappings(data.mappings);
// On the same CPU as the plain poller would be.
const cpu = new OneCpu(data.spread);
setInterval(() => cpu.keep(clock.now()), CPU_LOOK_MS).unref();
const worker = new HookWorker(parentPort, data);
parentPort.on('message', (request: HookRequest) => void worker.receive(request));
