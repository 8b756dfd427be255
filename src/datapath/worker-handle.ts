// SPDX-License-Identifier: MIT
/**
 * The polling threads as the main thread has them: one for the first queues of all interfaces of a process, one for the
 * second queues, and so on.
 */
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';

import { newMappingTable, releaseMappings, wakeWaiter } from 'libbpf-ts';

import { HINTS, VnetError } from '../errors';
import { COMMAND, type Conditions, HOLD, setConditions } from './loop';
import { handOver } from './outcomes';
import type { PollOrder, PollWorkerData, PollWorkerMessage } from './worker';
import type { PollRequest } from './worker-queue';

/** What happens to an interface while it is polled. */
export interface PollEvents {
  /** Its queue has stopped or woken. */
  queue: () => void;
  /** Held frames seem to be lost. */
  stalled: () => void;
  /** The thread died: nothing is polled any more. */
  died: (error: VnetError) => void;
}

/** A queue that is being polled, or all of an interface. */
export interface Polled {
  /** Sets a word of COMMAND. */
  command(word: number, value: number): void;
  /** Has it tell a recorder, through a descriptor of createFates() that is handed over; 0: nobody any more. */
  tell(fatesFd: number): void;
  /** Ends the loop, as a value of STOP says; resolves when it has ended. Idempotent. */
  stop(how: number): Promise<void>;
}

/** One that polls from a thread for plain interfaces. */
export interface PlainPolled extends Polled {
  /** Whether it leaves frames in the ring, as COMMAND.hold has asked. */
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
    this.worker = new Worker(path.join(__dirname, '..', 'datapath', 'worker-entry.js'), {
      workerData: { spread: spread + queue, bell: this.bell.buffer as SharedArrayBuffer, mappings } satisfies PollWorkerData,
      // The loop allocates nothing per packet; a small heap keeps its pauses short.
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
    });
    this.worker.on('message', (message: PollWorkerMessage) => this.receive(message));
    this.worker.once('error', (cause) => this.died(cause as Error));
    this.worker.once('exit', () => {
      releaseMappings(mappings);
      this.died(new Error('it ended'));
    });
  }

  /** Starts the threads ahead of the first interface: they take as long as making one. `spread` differs between processes. */
  static start(queues: number, spread: number): void {
    for (let queue = 0; queue < queues; queue++) PollerThread.threads[queue] ??= new PollerThread(queue, spread);
  }

  /** Ends them again if no interface came. */
  static endIfUnused(): void {
    for (const thread of PollerThread.threads) if (thread?.entries.size === 0) thread.quit();
  }

  /** Ends the threads at once, in the middle of whatever they do: for tests of what becomes of their interfaces. */
  static terminate(): void {
    for (const thread of PollerThread.threads) void thread?.worker.terminate();
  }

  /**
   * Has a queue polled, by the thread that polls those of the process's other interfaces; starts it if
   * there is none. Resolves when the queue is polled.
   */
  static poll(request: Omit<PollRequest, 'command'>, conditions: Conditions, spread: number, events: PollEvents): Promise<PlainPolled> {
    const thread = (PollerThread.threads[request.queue] ??= new PollerThread(request.queue, spread));
    return thread.add(request, conditions, events);
  }

  private async add(request: Omit<PollRequest, 'command'>, conditions: Conditions, events: PollEvents): Promise<PlainPolled> {
    const command = new Int32Array(new SharedArrayBuffer(COMMAND.words * 4));
    setConditions(command, conditions);
    let stopping = false;
    let ended = (): void => undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    const ready = new Promise<void>((resolve, failed) => this.entries.set(request.key, { events, ready: resolve, failed, ended }));
    this.worker.postMessage({ ...request, command: command.buffer as SharedArrayBuffer } satisfies PollOrder);
    this.ring();
    await ready;
    const setCommand = (word: number, value: number): void => {
      Atomics.store(command, word, value);
      this.ring();
    };
    const tell = (fatesFd: number): void => {
      handOver(command, COMMAND.fates, fatesFd);
      this.ring();
    };
    const stop = async (how: number): Promise<void> => {
      if (!stopping) setCommand(COMMAND.stop, how);
      stopping = true;
      await end;
      handOver(command, COMMAND.fates, 0);
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
      this.ring(); // it may sleep already, and have missed what was said before
      return;
    }
    const { key } = message;
    const entry = this.entries.get(key);
    if (message.kind === 'queue') entry?.events.queue();
    if (message.kind === 'stalled') entry?.events.stalled();
    if (message.kind === 'ready') entry?.ready();
    if (message.kind === 'failed' || message.kind === 'ended') this.entries.delete(key);
    if (message.kind === 'failed') entry?.failed(new VnetError('INTERNAL', 'the poller', message.error.message, { hint: HINTS.bug, cause: message.error }));
    if (message.kind === 'ended') entry?.ended();
    if (this.entries.size === 0 && PollerThread.threads[this.queue] === this) this.quit();
  }

  /** The thread ends with its last interface; the next one gets a new thread. */
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
