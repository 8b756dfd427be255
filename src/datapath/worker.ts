// SPDX-License-Identifier: MIT
/**
 * The polling thread: takes queues that the main thread has opened, polls each in turn, sleeps when none has work, and
 * ends with the last queue.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

import { loadAcquire, RingWaiter, trackMappings } from 'libbpf-ts';

import { clock } from '../native/clock';
import type { PollLoop } from './loop';
import { OneCpu } from './one-cpu';
import { openQueue, type PolledQueue, type PollRequest } from './worker-queue';

/** A local copy: looking the function up in its module takes longer than the load. */
const load = loadAcquire;

/** Longest sleep without a wake-up, in milliseconds, so that records are never stranded. */
const WATCHDOG_MS = 1000;
/** Milliseconds between polls of the other interfaces while one rests: no wake-up ends such a sleep. */
const REST_MS = 1;

export interface GroupParts {
  waiter: Pick<RingWaiter, 'wait'>;
  /** One word that the main thread changes and notifies whenever it has sent something. */
  bell: Int32Array;
  /** Called after the bell rang: takes in new interfaces through add(), or calls quit(). */
  onBell: () => void;
  /** Called once an interface has ended; its resources can be released. */
  onEnded: (loop: PollLoop) => void;
  /** Called before each turn, with its time. */
  onTurn: (now: number) => void;
}

export class PollGroup {
  private readonly loops: PollLoop[] = [];
  private heard: number;
  private quitting = false;

  constructor(private readonly parts: GroupParts) {
    this.heard = load(parts.bell, 0);
  }

  add(loop: PollLoop): void {
    this.loops.push(loop);
  }

  quit(): void {
    this.quitting = true;
  }

  /** Polls until quit() has been called and no interface is left. */
  run(): void {
    while (!this.quitting || this.loops.length > 0) {
      const now = clock.now();
      this.parts.onTurn(now);
      const pause = this.turn(now);
      if (pause > 0) this.sleep(pause);
    }
  }

  /** Gives each interface one turn; returns for how many milliseconds none has work, Infinity if all are asleep. */
  turn(now: number): number {
    const { loops } = this;
    let pause = Infinity;
    for (let i = 0; i < loops.length; i++) {
      const loop = loops[i] as PollLoop;
      pause = Math.min(pause, loop.turn(now));
      if (loop.state === 'ended') {
        loops.splice(i--, 1);
        this.parts.onEnded(loop);
      }
    }
    return this.listen() ? 0 : pause;
  }

  /** Sleeps until a record arrives, the main thread rings, or the time is up. */
  sleep(pause: number): void {
    const { bell, waiter } = this.parts;
    if (pause !== Infinity) {
      // This does not sleep on the waiter: the ring of an interface that rests may have records, which would end each
      // sleep at once.
      Atomics.wait(bell, 0, this.heard, this.loops.length > 1 ? Math.min(pause, REST_MS) : pause);
      return;
    }
    if (waiter.wait(WATCHDOG_MS) === 0) for (const loop of this.loops) loop.watchdog();
  }

  /** Whether the main thread has rung since the last call; if so, handles what it has sent. */
  private listen(): boolean {
    const said = load(this.parts.bell, 0);
    if (said === this.heard) return false;
    this.heard = said;
    this.parts.onBell();
    return true;
  }
}

export interface PollWorkerData {
  /** Any number that differs between threads: spreads them over the CPUs. */
  spread: number;
  /** One word, changed and notified by the main thread after each message. */
  bell: SharedArrayBuffer;
  /** Where the thread records its mappings, for the main thread, which outlives it. */
  mappings: SharedArrayBuffer;
}

/** An order of the main thread: poll this queue, too, or end once no queue is left. */
export type PollOrder = PollRequest | 'quit';

export type PollWorkerMessage =
  | { kind: 'started'; wakeFd: number }
  | { kind: 'ready' | 'queue' | 'stalled' | 'ended'; key: string }
  | { kind: 'failed'; key: string; error: Error };

/** The waiter's flag for every ring; each loop checks by itself whether it was its own. */
const RING_READY = RingWaiter.RING;

function main(port: MessagePort, { spread, bell, mappings }: PollWorkerData): void {
  trackMappings(mappings);
  const cpu = new OneCpu(spread);
  using waiter = new RingWaiter();
  const open = new Map<PollLoop, PolledQueue>();
  const say = (message: PollWorkerMessage): void => port.postMessage(message);

  const takeIn = (request: PollRequest): void => {
    const { key } = request;
    try {
      const polled = openQueue(
        request,
        () => say({ kind: 'queue', key }),
        () => say({ kind: 'stalled', key }),
      );
      waiter.add(request.ringFd, RING_READY);
      open.set(polled.loop, polled);
      group.add(polled.loop);
      say({ kind: 'ready', key });
    } catch (error) {
      say({ kind: 'failed', key, error: error as Error });
    }
  };
  const onBell = (): void => {
    // The thread never returns to its event loop, so messages are fetched.
    for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
      const order = got.message as PollOrder;
      if (order === 'quit') group.quit();
      else takeIn(order);
    }
  };
  const onEnded = (loop: PollLoop): void => {
    const polled = open.get(loop) as PolledQueue;
    open.delete(loop);
    waiter.remove(polled.ringFd);
    polled.close();
    say({ kind: 'ended', key: polled.key });
  };

  const onTurn = (now: number): void => cpu.keep(now);
  const group = new PollGroup({ waiter, bell: new Int32Array(bell), onBell, onEnded, onTurn });
  say({ kind: 'started', wakeFd: waiter.wakeFd });
  onBell();
  group.run();
}

if (parentPort) main(parentPort, workerData as PollWorkerData);
