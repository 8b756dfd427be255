// SPDX-License-Identifier: MIT
/**
 * The loop around poll(budget), as NAPI runs a driver: poll again while the budget is used up;
 * when less was done, arm the wake-up, look again, and only then sleep. Runs in a worker thread.
 */
import type { RingWaiter } from 'libbpf-ts';

import { CONTROL } from './layout';
import type { Poller } from './poller';
import { GATE_STOPPED, type QueueGate } from './queue-gate';
import type { SharedWords } from './shared-memory';

/** Words of the shared array through which the main thread talks to the loop. */
export const COMMAND = { stop: 0, linkDown: 1, pollDelayUs: 2, unused: 3, words: 4 } as const;

/** A sleep ends after this long even without a wake-up: records are never stranded. */
const WATCHDOG_MS = 1000;
/** How long to leave a socket alone that takes nothing; grows to the second value. */
const BACKOFF_MS = 1;
const BACKOFF_MAX_MS = 50;

export interface LoopParts {
  poller: Poller;
  gate: QueueGate;
  ring: { isEmpty(): boolean };
  control: SharedWords;
  waiter: Pick<RingWaiter, 'wait'>;
  /** COMMAND words, shared with the main thread. */
  command: Int32Array;
  /** Called at most every 50 ms when the queue has stopped or woken. */
  onQueue: () => void;
  /** Called when held frames seem to be lost: somebody has to look into the waiting room. */
  onStalled: () => void;
}

/** How long to wait for a frame out of the waiting room. */
const ROOM_WAIT_MS = 1;
/** Empty polls before the room is granted credit anew, and such grants before it is looked into. */
const STALLED_POLLS = 20;
const STALLS_BEFORE_LOOK = 3;
/** How long the end of the loop may take to deliver what is still in the ring. */
const DRAIN_MS = 200;
const REPORT_MS = 50;
const RING_READY = 1;

/** Polls until the stop command; frames still in the ring are drained before it returns. */
export function runPollLoop(parts: LoopParts): void {
  const { poller, ring, control, waiter, command, gate, onQueue, onStalled } = parts;
  const pollDelayUs = Atomics.load(command, COMMAND.pollDelayUs);
  let backoff = BACKOFF_MS;
  let stopsSeen = 0;
  let wokenSeen = 0;
  let lastReport = 0;
  let stalls = 0;

  const report = (force: boolean): void => {
    const stops = control.get64(CONTROL.stops);
    const stopped = control.get32(CONTROL.gate) & GATE_STOPPED;
    if (stops === stopsSeen && stopped === wokenSeen) return;
    const now = Date.now();
    if (!force && now - lastReport < REPORT_MS) return;
    lastReport = now;
    stopsSeen = stops;
    wokenSeen = stopped;
    onQueue();
  };

  for (;;) {
    poller.linkDown = Atomics.load(command, COMMAND.linkDown) !== 0;
    const done = poller.poll();
    if (done > 0) stalls = 0;
    if (done > 0 && pollDelayUs > 0) pause(command, pollDelayUs / 1000);
    report(false);
    if (poller.blocked) {
      pause(command, backoff);
      backoff = Math.min(backoff * 2, BACKOFF_MAX_MS);
    } else {
      backoff = BACKOFF_MS;
      if (done < poller.budget && sleepUnlessWork()) continue;
    }
    if (Atomics.load(command, COMMAND.stop) !== 0) break;
  }
  drain();
  report(true);

  /** napi_complete: arm, look again, sleep. True if the loop has to go on at once. */
  function sleepUnlessWork(): boolean {
    control.set32(CONTROL.armed, 1); // a full barrier: either tx sees it, or isEmpty() sees the record
    if (gate.stopped && ring.isEmpty()) {
      control.set32(CONTROL.armed, 0);
      if (!gate.roomMoved()) waitForRoom();
      return false;
    }
    if (!ring.isEmpty() || Atomics.load(command, COMMAND.stop) !== 0) {
      control.set32(CONTROL.armed, 0);
      return Atomics.load(command, COMMAND.stop) === 0;
    }
    report(true);
    poller.count(CONTROL.sleeps);
    const woken = waiter.wait(WATCHDOG_MS);
    const announced = control.get32(CONTROL.armed) === 0;
    control.set32(CONTROL.armed, 0);
    if ((woken & RING_READY) !== 0) poller.count(CONTROL.wakeups);
    else if (woken === 0 && !announced && !ring.isEmpty()) poller.count(CONTROL.lostWakeups);
    return false;
  }

  /**
   * The queue is stopped but the ring is empty: held frames are on their way out of the room.
   * They take microseconds; if nothing comes, grant again, and in the end have the room looked into.
   */
  function waitForRoom(): void {
    pause(command, ROOM_WAIT_MS);
    if (gate.stalled < STALLED_POLLS) return;
    gate.stalled = 0;
    gate.unstall();
    if (++stalls % STALLS_BEFORE_LOOK === 0) onStalled();
  }

  /** What was accepted before the end is delivered, within reason. */
  function drain(): void {
    const end = Date.now() + DRAIN_MS;
    while (!ring.isEmpty() && Date.now() < end) {
      poller.poll();
      // The stop word is set, so pause() would return at once.
      if (poller.blocked) Atomics.wait(command, COMMAND.unused, 0, BACKOFF_MS);
    }
  }
}

/** Sleeps, or returns early when the main thread changes the stop word. */
function pause(command: Int32Array, ms: number): void {
  Atomics.wait(command, COMMAND.stop, 0, ms);
}
