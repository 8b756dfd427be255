// SPDX-License-Identifier: MIT
/** The main thread's side of the thread of one hook. */
import type { Worker } from 'node:worker_threads';

import { newMappingTable, releaseMappings } from 'libbpf-ts';

import { COMMAND, type Conditions, setConditions, STOP } from '../datapath/loop';
import { handOver } from '../datapath/outcomes';
import type { Polled, PollEvents } from '../datapath/worker-handle';
import type { PollRequest } from '../datapath/worker-queue';
import { commandFor, VnetError } from '../errors';
import { programEnvironment } from '../native/inherited';
import { startThread } from '../native/node';
import { passOn } from '../native/standard-streams';
import { newVitals, RingBell, VITALS } from './event-loop';
import type { HookAnswers, HookOrder, HookReply, HookRequest, HookWorkerData, SentError } from './worker';

export interface HookEvents extends PollEvents {
  /** A hook has written a line to the log. */
  log: (text: string) => void;
  /** A hook has made an error, or several, which are added up. */
  error: (text: string) => void;
  /** A fault takes the carrier away for that many milliseconds. */
  carrier: (ms: number) => void;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: VnetError): void;
}

/** How long a hook may take to release its interface, in milliseconds. */
const STOP_MS = 3000;
/**
 * Objects transferred to the thread with a message. Each of the latest versions of @types/node has another name for the
 * type.
 */
type Transfer = NonNullable<Parameters<Worker['postMessage']>[1]>;

/** How long anything else may take, in milliseconds; loading a hook may mean compiling it on a slow machine. */
const ANSWER_MS = 30_000;
/** How often signs of life are looked for, and after how many looks without one the thread is stuck: 10 s. */
const LOOK_MS = 2000;
const LOOKS_UNTIL_STUCK = 5;

export class HookThread implements Polled {
  private readonly worker: Worker;
  private readonly command32 = new Int32Array(new SharedArrayBuffer(COMMAND.words * 4));
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private readonly vitals = newVitals();
  private readonly looks: NodeJS.Timeout;
  /** Whether a stuck thread is ended; otherwise it stays until a user removes the hook. */
  endsWhenStuck = false;
  private readonly exited: Promise<void>;
  private readonly ended: Promise<void>;
  private endedIs: () => void = () => undefined;
  private polling = false;
  private bell: RingBell | undefined;
  private stopping = false;

  constructor(
    private readonly data: Omit<HookWorkerData, 'vitals' | 'mappings'>,
    private readonly events: HookEvents,
  ) {
    const mappings = newMappingTable();
    this.worker = startThread('hooks/worker', {
      workerData: { ...data, vitals: this.vitals.buffer as SharedArrayBuffer, mappings } satisfies HookWorkerData,
      // Without the modules that a program has preloaded into itself.
      execArgv: [],
      env: programEnvironment(),
      // A small young generation keeps pauses short; a hook, and TypeScript's compiler, may need the rest.
      resourceLimits: { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 16 },
    });
    // Output of the hook. Node's own way would end the process if the output is not read.
    passOn(this.worker);
    this.ended = new Promise((resolve) => (this.endedIs = resolve));
    // A hook can also get at the port, and send anything.
    this.worker.on('message', (reply: HookReply | null) => reply && this.receive(reply));
    this.worker.once('error', (cause: unknown) => this.died(reasonOf(cause), cause));
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => {
        releaseMappings(mappings);
        this.died('it ended');
        resolve();
      });
    });
    this.looks = this.lookForLife();
  }

  /** frameMark() of the frame that the hook was judging when its thread died; 0 for none. */
  get deadly(): number {
    return Atomics.load(this.vitals, VITALS.judging);
  }

  /**
   * Starts polling; nothing else may poll the interface any more. Frames with a mark in `deadly` are dropped unseen.
   */
  async poll(request: Omit<PollRequest, 'command'>, conditions: Conditions, deadly: readonly number[]): Promise<void> {
    setConditions(this.command32, conditions);
    this.polling = true;
    this.bell = new RingBell(request.ringFd, (error) =>
      this.events.error(`nothing wakes the hook's thread: ${error.message}`),
    );
    const { rope } = this.bell;
    const command = this.command32.buffer as SharedArrayBuffer;
    await this.order({ kind: 'poll', request: { ...request, command }, bell: rope, deadly }, [rope.port]);
    // Until then, frames that come after a sleep would wait for the watchdog.
    await this.bell.listening;
  }

  /** Has an order carried out. Rejects with the thread's error. */
  async order<O extends HookOrder>(order: O, transfer: Transfer = []): Promise<HookAnswers[O['kind']]> {
    const id = this.nextId++;
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        late = setTimeout(
          () =>
            reject(
              new VnetError('BUSY', 'the hook', `has not returned for ${ANSWER_MS / 1000} s`, {
                hint: `a hook answers at once; ${this.typed('log')} names the file, ${this.typed('hook', '--none')} takes it off`,
              }),
            ),
          ANSWER_MS,
        );
        this.post({ id, order }, transfer);
      });
    } finally {
      clearTimeout(late);
      this.waiting.delete(id);
    }
  }

  private typed(verb: string, ...more: readonly string[]): string {
    return commandFor(verb, this.data.interface, this.data.netns, ...more);
  }

  command(word: number, value: number): void {
    Atomics.store(this.command32, word, value);
    this.post('look');
  }

  tell(outcomesFd: number): void {
    handOver(this.command32, COMMAND.outcomes, outcomesFd);
    this.post('look');
  }

  /** Stops polling. A hook that does not release the interface in time is ended with its thread. */
  async stop(how: number = STOP.deliver): Promise<void> {
    if (!this.stopping) {
      this.stopping = true;
      this.command(COMMAND.stop, how);
      this.post({ id: 0, order: { kind: 'resume' } });
    }
    let late: NodeJS.Timeout | undefined;
    if (this.polling) await Promise.race([this.ended, new Promise((resolve) => (late = setTimeout(resolve, STOP_MS)))]);
    clearTimeout(late);
    await this.terminate();
    handOver(this.command32, COMMAND.outcomes, 0);
    await this.bell?.close();
  }

  /**
   * Ends the thread: its JavaScript no longer runs. A system call in progress may take longer, and is not waited for.
   */
  private async terminate(): Promise<void> {
    clearInterval(this.looks);
    void this.worker.terminate();
    let late: NodeJS.Timeout | undefined;
    await Promise.race([this.exited, new Promise((resolve) => (late = setTimeout(resolve, STOP_MS)))]);
    clearTimeout(late);
  }

  private lookForLife(): NodeJS.Timeout {
    let beat = 0;
    let looks = 0;
    const look = (): void => {
      const now = Atomics.load(this.vitals, VITALS.beat);
      // Loading another hook may mean compiling it, which may take any time.
      const busy = this.waiting.size > 0 && this.deadly === 0;
      looks = now !== beat || busy || !this.polling ? 0 : looks + 1;
      beat = now;
      if (looks >= LOOKS_UNTIL_STUCK && this.endsWhenStuck)
        this.died(`it has not returned for ${(LOOKS_UNTIL_STUCK * LOOK_MS) / 1000} s`);
    };
    return setInterval(look, LOOK_MS).unref();
  }

  private post(request: HookRequest, transfer: Transfer = []): void {
    this.worker.postMessage(request, transfer);
  }

  private receive(reply: HookReply): void {
    switch (reply.kind) {
      case 'answer':
        return this.waiting.get(reply.id)?.resolve(reply.value);
      case 'failed':
        return this.waiting.get(reply.id)?.reject(received(reply.error));
      case 'log':
      case 'error':
        return this.events[reply.kind](reply.text);
      case 'queue':
      case 'stalled':
        return this.events[reply.kind]();
      case 'carrier':
        return this.events.carrier(reply.ms);
      case 'ended':
        return this.endedIs();
    }
  }

  private died(why: string, cause?: unknown): void {
    clearInterval(this.looks);
    this.endedIs();
    const error = new VnetError('HOOK', "the hook's thread", why, {
      hint: `${this.typed('log')} tells where it happened; ${this.typed('hook', '--none')} takes the hook off`,
      cause,
    });
    for (const { reject } of this.waiting.values()) reject(error);
    if (!this.stopping) this.events.died(error);
    this.stopping = true;
  }
}

/** The text of an uncaught error, whatever it is, in one line. */
function reasonOf(cause: unknown): string {
  try {
    return (cause instanceof Error ? cause.message : String(cause)).slice(0, 200).replace(/\s*\n\s*/g, ' ');
  } catch {
    return 'an error that cannot be shown';
  }
}

/** Restores an error, whose constructor had joined its parts to `what: why`. */
function received({ code, message, hint, stack }: SentError): VnetError {
  const [what = message, ...why] = message.split(': ');
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  return new VnetError(code, what, why.join(': '), hint === undefined ? { cause } : { hint, cause });
}
