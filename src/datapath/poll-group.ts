// SPDX-License-Identifier: MIT
/** All interfaces of one thread: each in turn polls once; when none has work, the thread sleeps. */
import { loadAcquire, type RingWaiter } from 'libbpf-ts';

import { clock } from '../native/clock';
import type { PollLoop } from './poll-loop';

/** Looking it up in the module each time takes longer than the load. */
const load = loadAcquire;

/** A sleep ends after this long even without a wake-up: records are never stranded. */
const WATCHDOG_MS = 1000;
/** While one interface rests, the others are looked at this often: no wake-up ends such a sleep. */
const REST_MS = 1;

export interface GroupParts {
  waiter: Pick<RingWaiter, 'wait'>;
  /** One word that the main thread changes, and notifies, whenever it has said something. */
  bell: Int32Array;
  /** Called after the bell rang: takes in new interfaces, through add(), or calls quit(). */
  onBell: () => void;
  /** Called once an interface has ended; its resources can go. */
  onEnded: (loop: PollLoop) => void;
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

  /** Polls until it is told to quit and no interface is left. */
  run(): void {
    while (!this.quitting || this.loops.length > 0) {
      const pause = this.turn(clock.now());
      if (pause > 0) this.sleep(pause);
    }
  }

  /** One turn of each interface; for how many milliseconds none has work, Infinity if all are asleep. */
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

  /** Sleeps until a record, a word of the main thread, or the time is up. */
  sleep(pause: number): void {
    const { bell, waiter } = this.parts;
    if (pause !== Infinity) {
      // Not on the waiter: the ring of one that rests may have records, which would end each sleep at once.
      Atomics.wait(bell, 0, this.heard, this.loops.length > 1 ? Math.min(pause, REST_MS) : pause);
      return;
    }
    if (waiter.wait(WATCHDOG_MS) === 0) for (const loop of this.loops) loop.watchdog();
  }

  /** True if the main thread has said something since the last time. */
  private listen(): boolean {
    const said = load(this.parts.bell, 0);
    if (said === this.heard) return false;
    this.heard = said;
    this.parts.onBell();
    return true;
  }
}
