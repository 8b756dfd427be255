// SPDX-License-Identifier: MIT
/**
 * Runs the poll loop of one interface from Node's event loop instead of blocking: a hook may use timers and promises,
 * and may be replaced between any two polls. The ring bell ends a sleep; the vital signs show the main thread what this
 * thread is doing.
 */
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';

import { wakeWaiter } from 'libbpf-ts';

import type { PollLoop } from '../datapath/loop';
import { clock } from '../native/clock';
import { waitReadable } from '../native/libc';
import { startThread } from '../native/node';
import { passOn } from '../native/standard-streams';

// The ring bell wakes a hook's thread when its ring has records. That thread sleeps in Node's event loop, which cannot
// watch a ring by itself, and a native watch is not safe there: koffi aborts the process if a thread ends, or is
// terminated, while its ring is readable. So a second thread sleeps on the ring and sends a message.

/** Indices of the words that both threads share. */
export const BELL = {
  /** 1: the hook's thread is asleep and wants a message. Notified when set. */
  armed: 0,
  /** 1: the hook's thread never sleeps again. */
  quit: 1,
  words: 2,
} as const;

/** The end of the bell that the hook's thread holds. */
export interface BellRope {
  words: SharedArrayBuffer;
  /** Receives a message when records arrived while armed. Transferred to the hook's thread. */
  port: MessagePort;
}

export interface RingBellData {
  ringFd: number;
  words: SharedArrayBuffer;
  /** The other end of the rope's port. */
  sleeper: MessagePort;
}

export class RingBell {
  readonly rope: BellRope;
  private readonly worker: Worker;
  private readonly ended: Promise<void>;
  private readonly wakeFd: Promise<number>;

  /**
   * `ringFd` stays the caller's and must be open until close() has resolved. If the bell breaks, the hook's thread
   * continues, woken only by its watchdog.
   */
  constructor(ringFd: number, onBroken: (error: Error) => void) {
    const { port1: sleeper, port2: port } = new MessageChannel();
    this.rope = { words: new SharedArrayBuffer(BELL.words * 4), port };
    this.worker = startThread('hooks/ring-bell-worker', {
      workerData: { ringFd, words: this.rope.words, sleeper } satisfies RingBellData,
      transferList: [sleeper],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
      // Its descriptors come from libc, and Node would warn of each that it closes.
      trackUnmanagedFds: false,
    });
    passOn(this.worker);
    this.worker.on('error', onBroken);
    this.ended = new Promise((resolve) => this.worker.once('exit', () => resolve()));
    this.wakeFd = new Promise((resolve) => {
      this.worker.once('message', resolve);
      this.worker.once('exit', () => resolve(-1));
    });
  }

  /** Resolves once the bell listens, or has broken. */
  get listening(): Promise<unknown> {
    return this.wakeFd;
  }

  /** Ends the bell's thread. The hook's thread must have ended. Idempotent. */
  async close(): Promise<void> {
    const words = new Int32Array(this.rope.words);
    Atomics.store(words, BELL.quit, 1);
    Atomics.store(words, BELL.armed, 1);
    Atomics.notify(words, BELL.armed);
    const started = await this.wakeFd;
    // Only while the thread lives: its descriptor may have been closed and reused.
    if (started >= 0 && this.worker.threadId >= 0) wakeWaiter(started);
    await this.ended;
  }
}

// The vital signs of a hook's thread: the main thread can read them at any time, and after the thread has died.

/** Indices of words in the shared array. */
export const VITALS = {
  /** Changes at least once a second while the thread returns to its event loop. */
  beat: 0,
  /** frameMark() of the frame that the hook is judging; 0 for none. */
  judging: 1,
  words: 2,
} as const;

export const newVitals = (): Int32Array => new Int32Array(new SharedArrayBuffer(VITALS.words * 4));

const MARKS = 2 ** 31 - 1;

/** Identifies a frame among those in the ring, by how many frames left the ring before it. Never 0. */
export const frameMark = (number: number): number => (number % MARKS) + 1;

/** Interval of the watchdog in milliseconds, as in PollGroup. */
const WATCHDOG_MS = 1000;
/**
 * While a frame is due within this many milliseconds, the thread dozes: it waits for the ring itself and not for its
 * bell, which is more exact, and returns to its event loop at least every DOZE_MS. Node's timers count whole
 * milliseconds, and a message from one thread to another takes a tenth of a millisecond or more.
 */
const DOZES_FOR_MS = 100;
const DOZE_MS = 1;
/**
 * The time before a frame is due for which the thread busy-polls, in milliseconds: dozing is no more exact than that.
 */
const SPIN_MS = 0.12;
/** A rest during which a frame becomes due ends this long before, in milliseconds. */
const LEAD_MS = 2;
/** Rests that are shorter than this many milliseconds block the thread: Node's timers would make them longer. */
const SHORT_MS = 1;
/** How long polls follow each other without a look at the event loop, in milliseconds. */
const TURN_MS = 0.5;

/**
 * Waits for records and for frames that become due:
 *
 *   no frame waits             asleep until the bell rings
 *   one is due in 500 ms       asleep until the bell rings, for at most 400 ms
 *   one is due in 50 ms        dozing: a millisecond at a time, or until the ring has records
 *   one is due in 0.1 ms       busy-polling
 */
export class HookLoop {
  private paused = false;
  private due: NodeJS.Immediate | undefined;
  private rest: NodeJS.Timeout | undefined;
  private asleep = false;
  /** A word that nobody notifies. */
  private readonly nobody = new Int32Array(new SharedArrayBuffer(4));
  private readonly watchdog: NodeJS.Timeout;

  constructor(
    private readonly loop: PollLoop,
    /** Words of BELL. While the loop sleeps, the bell has look() called when records arrive. */
    private readonly bell: Int32Array,
    private readonly ringFd: number,
    private readonly vitals: Int32Array,
    /** Whether what judges the frames leaves nothing to the event loop, as a hook may. */
    private readonly isAlone: () => boolean,
    private readonly onEnded: () => void,
    /** Called when the loop itself failed, not the hook: nothing can be trusted any more. */
    private readonly onBroken: (error: unknown) => void,
  ) {
    this.watchdog = setInterval(() => {
      this.beat();
      this.lookAfterSleep();
    }, WATCHDOG_MS);
    this.look();
  }

  /** Polls soon, whatever the loop was waiting for. */
  look(): void {
    if (this.paused) return;
    this.loop.nudge();
    this.due ??= setImmediate(() => this.turn());
  }

  /** Stops polling. Frames stay in the ring; when it is full, the kernel holds the senders. */
  pause(): void {
    this.paused = true;
    this.stopWaiting();
    this.loop.nudge();
  }

  get isPaused(): boolean {
    return this.paused;
  }

  resume(): void {
    this.paused = false;
    this.look();
  }

  private beat(): void {
    Atomics.add(this.vitals, VITALS.beat, 1);
  }

  private turn(): void {
    this.beat();
    this.stopWaiting();
    const pause = this.pollOn();
    if (this.loop.state === 'ended') {
      clearInterval(this.watchdog);
      this.onEnded();
      return;
    }
    const { due } = this.loop;
    const left = due === Infinity ? Infinity : due - clock.now();
    if (pause === Infinity && left > DOZES_FOR_MS) {
      this.sleep();
      if (left < Infinity) this.rest = setTimeout(() => this.turn(), left - DOZES_FOR_MS);
    } else if (pause > 0 && pause < SHORT_MS && left > pause) {
      Atomics.wait(this.nobody, 0, 0, pause);
      this.due ??= setImmediate(() => this.turn());
    } else if (pause > 0 && pause < Infinity && left > LEAD_MS) {
      this.rest = setTimeout(() => this.turn(), Math.min(pause, left - LEAD_MS));
    } else {
      if (pause === Infinity && left > SPIN_MS) waitReadable(this.ringFd, Math.min(left - SPIN_MS, DOZE_MS));
      this.due ??= setImmediate(() => this.turn());
    }
  }

  /** Polls, again and again while there is much to do and nothing else has to be done. */
  private pollOn(): number {
    let pause = this.poll();
    if (pause > 0 || !this.isAlone()) return pause;
    for (const until = clock.now() + TURN_MS; pause === 0 && this.loop.state !== 'ended' && clock.now() < until;)
      pause = this.poll();
    return pause;
  }

  private poll(): number {
    try {
      return this.loop.turn(clock.now());
    } catch (error) {
      this.onBroken(error);
      return Infinity;
    }
  }

  private sleep(): void {
    this.asleep = true;
    Atomics.store(this.bell, BELL.armed, 1);
    Atomics.notify(this.bell, BELL.armed);
  }

  private stopWaiting(): void {
    clearImmediate(this.due);
    clearTimeout(this.rest);
    if (this.asleep) Atomics.store(this.bell, BELL.armed, 0);
    this.asleep = false;
    this.due = this.rest = undefined;
  }

  private lookAfterSleep(): void {
    if (!this.asleep) return;
    this.loop.watchdog();
    this.turn();
  }
}
