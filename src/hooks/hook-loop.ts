// SPDX-License-Identifier: MIT
/**
 * Drives the poll loop of one interface from Node's event loop rather than by blocking: a hook may
 * use timers and promises, and is told to make way for another one, between any two polls.
 */
import type { PollLoop } from '../datapath/poll-loop';
import { clock } from '../native/clock';
import { BELL } from './ring-bell';
import { VITALS } from './vitals';

/** As in PollGroup. */
const WATCHDOG_MS = 1000;

export class HookLoop {
  private paused = false;
  private due: NodeJS.Immediate | undefined;
  private rest: NodeJS.Timeout | undefined;
  private asleep = false;
  private readonly watchdog: NodeJS.Timeout;

  constructor(
    private readonly loop: PollLoop,
    /** Words of BELL: rung, with a call of look(), when records come while it sleeps. */
    private readonly bell: Int32Array,
    private readonly vitals: Int32Array,
    private readonly onEnded: () => void,
    /** Something of ours failed, not of the hook: nothing can be trusted any more. */
    private readonly onBroken: (error: unknown) => void,
  ) {
    this.watchdog = setInterval(() => {
      this.beat();
      this.lookAfterSleep();
    }, WATCHDOG_MS);
    this.look();
  }

  /** Polls soon, whatever it was waiting for. */
  look(): void {
    if (this.paused) return;
    this.loop.nudge();
    this.due ??= setImmediate(() => this.turn());
  }

  /** Frames stay in the ring; it fills, and then the kernel holds the senders. */
  pause(): void {
    this.paused = true;
    this.stopWaiting();
    this.loop.nudge();
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
    const pause = this.poll();
    if (this.loop.state === 'ended') {
      clearInterval(this.watchdog);
      this.onEnded();
    } else if (pause === 0) {
      this.due ??= setImmediate(() => this.turn());
    } else if (pause === Infinity) {
      this.sleep();
    } else {
      this.rest = setTimeout(() => this.turn(), pause);
    }
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
