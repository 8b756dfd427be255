// SPDX-License-Identifier: MIT
/**
 * The main thread's side of the polling threads: one thread for the first queues of all interfaces of the process, one
 * for the second queues, and so on.
 */
import type { Worker } from 'node:worker_threads';

import { newMappingTable, releaseMappings, wakeWaiter } from 'libbpf-ts';

import { HINTS, VnetError } from '../errors';
import { startThread } from '../native/node';
import { passOn } from '../native/standard-streams';
import { COMMAND, type Conditions, HOLD, setConditions } from './loop';
import { handOver } from './outcomes';
import type { PollOrder, PollWorkerData, PollWorkerMessage } from './worker';
import type { PollRequest } from './worker-queue';

/** Events of an interface while it is polled. */
export interface PollEvents {
  /** The queue has stopped or woken. */
  queue: () => void;
  /** Held frames seem to be lost. */
  stalled: () => void;
  /** The thread died: nothing is polled any more. */
  died: (error: VnetError) => void;
}

/** A queue that is being polled, or all queues of an interface. */
export interface Polled {
  /** Sets a word of COMMAND. */
  command(word: number, value: number): void;
  /** Starts telling a recorder, through a descriptor of createOutcomes() whose ownership passes; 0 stops it. */
  tell(outcomesFd: number): void;
  /** Ends the loop in the way that a value of STOP says; resolves when it has ended. Idempotent. */
  stop(how: number): Promise<void>;
}

/** A queue that is polled by a thread for plain interfaces. */
export interface PlainPolled extends Polled {
  /** Whether the loop leaves frames in the ring, as COMMAND.hold has asked. */
  isHeld(): boolean;
}

interface Entry {
  events: PollEvents;
  ready: () => void;
  failed: (error: VnetError) => void;
  ended: () => void;
}

export class PollerThread {
  private static readonly threads: (PollerThread | undefined)[] = [];

  private readonly worker: Worker;
  private readonly bell = new Int32Array(new SharedArrayBuffer(4));
  private readonly entries = new Map<string, Entry>();
  /** The worker's wake-up descriptor, -1 while there is none. */
  private wakeFd = -1;

  private constructor(
    private readonly queue: number,
    spread: number,
  ) {
    const mappings = newMappingTable();
    this.worker = startThread('datapath/worker', {
      workerData: {
        spread: spread + queue,
        bell: this.bell.buffer as SharedArrayBuffer,
        mappings,
      } satisfies PollWorkerData,
      // The loop allocates nothing per packet; a small heap keeps its pauses short.
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
      // Its descriptors come from libc, and Node would warn of each that it closes.
      trackUnmanagedFds: false,
    });
    passOn(this.worker);
    this.worker.on('message', (message: PollWorkerMessage) => this.receive(message));
    this.worker.once('error', (cause) => this.died(cause as Error));
    this.worker.once('exit', () => {
      releaseMappings(mappings);
      this.died(new Error('it ended'));
    });
  }

  /**
   * Starts the threads ahead of the first interface: they take as long to start as it takes to make. `spread` differs
   * between processes.
   */
  static start(queues: number, spread: number): void {
    for (let queue = 0; queue < queues; queue++) PollerThread.threads[queue] ??= new PollerThread(queue, spread);
  }

  /** Ends the threads again if no interface came. */
  static endIfUnused(): void {
    for (const thread of PollerThread.threads) if (thread?.entries.size === 0) thread.quit();
  }

  /** Ends the threads at once, whatever they are doing: for tests of what becomes of their interfaces. */
  static terminate(): void {
    for (const thread of PollerThread.threads) void thread?.worker.terminate();
  }

  /**
   * Has a queue polled by the thread for that queue of the process's interfaces, which is started if it does not run.
   * Resolves when the queue is polled.
   */
  static poll(
    request: Omit<PollRequest, 'command'>,
    conditions: Conditions,
    spread: number,
    events: PollEvents,
  ): Promise<PlainPolled> {
    const thread = (PollerThread.threads[request.queue] ??= new PollerThread(request.queue, spread));
    return thread.add(request, conditions, events);
  }

  private async add(
    request: Omit<PollRequest, 'command'>,
    conditions: Conditions,
    events: PollEvents,
  ): Promise<PlainPolled> {
    const command = new Int32Array(new SharedArrayBuffer(COMMAND.words * 4));
    setConditions(command, conditions);
    let stopping = false;
    let ended = (): void => undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    const ready = new Promise<void>((resolve, failed) =>
      this.entries.set(request.key, { events, ready: resolve, failed, ended }),
    );
    this.worker.postMessage({ ...request, command: command.buffer as SharedArrayBuffer } satisfies PollOrder);
    this.ring();
    await ready;
    const setCommand = (word: number, value: number): void => {
      Atomics.store(command, word, value);
      this.ring();
    };
    const tell = (outcomesFd: number): void => {
      handOver(command, COMMAND.outcomes, outcomesFd);
      this.ring();
    };
    const stop = async (how: number): Promise<void> => {
      if (!stopping) setCommand(COMMAND.stop, how);
      stopping = true;
      await end;
      handOver(command, COMMAND.outcomes, 0);
    };
    return { command: setCommand, tell, stop, isHeld: () => Atomics.load(command, COMMAND.hold) === HOLD.done };
  }

  /** Tells the thread that there is something to read. */
  private ring(): void {
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
    if (this.wakeFd >= 0) wakeWaiter(this.wakeFd);
  }

  private receive(message: PollWorkerMessage): void {
    if (message.kind === 'started') {
      this.wakeFd = message.wakeFd;
      this.ring(); // the thread may be asleep already, and have missed earlier messages
      return;
    }
    const { key } = message;
    const entry = this.entries.get(key);
    if (message.kind === 'queue') entry?.events.queue();
    if (message.kind === 'stalled') entry?.events.stalled();
    if (message.kind === 'ready') entry?.ready();
    if (message.kind === 'failed' || message.kind === 'ended') this.entries.delete(key);
    if (message.kind === 'failed')
      entry?.failed(
        new VnetError('INTERNAL', 'the poller', message.error.message, { hint: HINTS.bug, cause: message.error }),
      );
    if (message.kind === 'ended') entry?.ended();
    if (this.entries.size === 0 && PollerThread.threads[this.queue] === this) this.quit();
  }

  /** Ends the thread, with its last interface; the next interface gets a new thread. */
  private quit(): void {
    PollerThread.threads[this.queue] = undefined;
    this.worker.postMessage('quit' satisfies PollOrder);
    this.ring();
  }

  private died(cause: Error): void {
    this.wakeFd = -1;
    if (PollerThread.threads[this.queue] === this) PollerThread.threads[this.queue] = undefined;
    const error = new VnetError('INTERNAL', 'the poller', cause.message, { hint: HINTS.bug, cause });
    for (const { failed, ended, events } of this.entries.values()) {
      failed(error);
      ended();
      events.died(error);
    }
    this.entries.clear();
  }
}

/** Combines the queues of an interface. Only an interface with a single queue is recorded. */
export function allOf(queues: readonly PlainPolled[]): PlainPolled {
  return {
    isHeld: () => queues.every((queue) => queue.isHeld()),
    command: (word, value) => queues.forEach((queue) => queue.command(word, value)),
    tell: (outcomesFd) => queues.forEach((queue) => queue.tell(outcomesFd)),
    stop: async (how) => void (await Promise.all(queues.map((queue) => queue.stop(how)))),
  };
}
