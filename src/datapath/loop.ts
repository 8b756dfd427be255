// SPDX-License-Identifier: MIT
/**
 * The loop around poll(budget) of one queue, as NAPI runs a driver: poll again while the budget is used up; when less
 * was done, busy-poll for a while (pacing.ts), or arm the wake-up, poll once more, and only then sleep. The loop never
 * blocks: each turn polls once and returns how long the queue can be left alone. worker.ts and hooks/event-loop.ts call
 * it.
 */
import { loadAcquire, type RingReader } from 'libbpf-ts';

import { CONTROL } from '../layout';
import { clock } from '../native/clock';
import type { PollOptions } from '../options/attach-options';
import { type LineParameters, LineQueue } from './line-queue';
import { OutcomeWriter, TAKEN } from './outcomes';
import type { BusyPoll, Moderation } from './pacing';
import type { Poller } from './poller';
import { GATE_STOPPED, type QueueGate } from './queue-gate';
import type { SharedWords } from './shared-memory';

/** A local copy: looking the function up in its module takes longer than the load. */
const load = loadAcquire;

/** Indices of the words through which the main thread commands the loop of an interface. */
export const COMMAND = {
  stop: 0,
  linkDown: 1,
  impaired: 2,
  outcomes: 3,
  lineRate: 4,
  lineQueue: 5,
  hold: 6,
  words: 7,
} as const;

/**
 * The qdisc of `vnet-bpf impair` between socket and interface, with the queue of its line if frames are lost there;
 * null: none.
 */
export type Impaired = { line: LineParameters | null } | null;

/** Values of the word `impaired`. From `line` on there is a line, and each new line has a number of its own. */
const IMPAIRED = { not: 0, waits: 1, line: 2 } as const;

/**
 * The words that describe an impairment, in the order in which they must be written; `serial` must differ from the
 * previous one.
 */
export function impairedWords(impaired: Impaired, serial: number): [word: number, value: number][] {
  if (!impaired?.line) return [[COMMAND.impaired, impaired ? IMPAIRED.waits : IMPAIRED.not]];
  const { bytesPerSecond, queueMs } = impaired.line;
  const [rate = 0, queue = 0] = new Int32Array(Float32Array.of(bytesPerSecond, queueMs).buffer);
  return [
    [COMMAND.lineRate, rate],
    [COMMAND.lineQueue, queue],
    [COMMAND.impaired, IMPAIRED.line + serial],
  ];
}

function lineOf(command: Int32Array): LineQueue {
  const [bytesPerSecond = 0, queueMs = 0] = new Float32Array(
    Int32Array.of(load(command, COMMAND.lineRate), load(command, COMMAND.lineQueue)).buffer,
  );
  return new LineQueue({ bytesPerSecond, queueMs });
}

/** What a loop must know before its first poll. */
export interface Conditions {
  linkDown: boolean;
  impaired: Impaired;
}

export function setConditions(command: Int32Array, { linkDown, impaired }: Conditions): void {
  command[COMMAND.linkDown] = linkDown ? 1 : 0;
  for (const [word, value] of impairedWords(impaired, 0)) command[word] = value;
}

/** Values of the word `stop`: end when the ring has been delivered, or at once because another thread takes over. */
export const STOP = { deliver: 1, leave: 2 } as const;

/** Values of the word `hold`: frames have to stay in the ring, and they do stay. */
export const HOLD = { asked: 1, done: 2 } as const;
/** How often the loop checks whether the hold goes on, in milliseconds. */
const HOLD_MS = 1;

/** How long a socket that takes nothing is left alone, in milliseconds; doubles up to the second value. */
const BACKOFF_MS = 1;
const BACKOFF_MAX_MS = 50;
/** How long to wait for a frame from the waiting room, in milliseconds. */
const ROOM_WAIT_MS = 1;
/** Empty polls before the room is granted credit again, and the number of such grants before it is inspected. */
const STALLED_POLLS = 20;
const STALLS_BEFORE_LOOK = 3;
/** How long the loop may take at its end to deliver what is still in the ring, in milliseconds. */
const DRAIN_MS = 200;
/**
 * The same for delayed frames, when others take the place of a hook or of faults: 64 MiB of small ones take half a
 * second. Meanwhile the frames in the ring wait.
 */
const LEAVE_MS = 1500;
const REPORT_MS = 50;

export interface LoopParts {
  options: PollOptions;
  poller: Pick<
    Poller,
    | 'poll'
    | 'deliver'
    | 'due'
    | 'hasWaiting'
    | 'hasten'
    | 'budget'
    | 'blocked'
    | 'linkDown'
    | 'impaired'
    | 'line'
    | 'outcomes'
    | 'count'
  >;
  gate: Pick<QueueGate, 'stopped' | 'stalled' | 'unstall' | 'roomMoved'>;
  ring: Pick<RingReader, 'isEmpty' | 'consumerPosition'>;
  control: SharedWords;
  /** COMMAND words, shared with the main thread. */
  command: Int32Array;
  /** Decides whether the loop busy-polls before it arms the wake-up and sleeps. */
  busyPoll: BusyPoll;
  /** Decides whether the loop rests although there may be frames already. */
  moderation: Moderation;
  /** Called at most every 50 ms when the queue has stopped or woken. */
  onQueue: () => void;
  /** Called when held frames seem to be lost: the waiting room has to be inspected. */
  onStalled: () => void;
}

/** `asleep`: armed, the next record wakes it. `ending`: asked to stop, still delivering what is in the ring. */
type State = 'awake' | 'asleep' | 'ending' | 'ended';

export class PollLoop {
  state: State = 'awake';
  /** Time before which the loop does not poll; milliseconds of its clock. */
  private restUntil = 0;
  private endBy = Infinity;
  /** Whether another thread takes over, and the frames in the ring with it. */
  private leaves = false;
  private backoff = BACKOFF_MS;
  private stalls = 0;
  private stopsSeen = 0;
  /** The value of COMMAND.outcomes that was acted upon last. */
  private outcomesSeen = 0;
  private impairedSeen = 0;
  private stoppedSeen = 0;
  private lastReport = -REPORT_MS;
  private readonly pollDelayMs: number;
  /** The ring's consumer position after the latest frames. */
  private position: number;

  constructor(private readonly parts: LoopParts) {
    this.pollDelayMs = parts.options.pollDelayUs / 1000;
    this.position = parts.ring.consumerPosition();
  }

  /**
   * When the first frame outside the ring is due, in milliseconds; Infinity if there is none. It ends a rest or a
   * sleep.
   */
  get due(): number {
    return this.parts.poller.due;
  }

  /**
   * Polls once unless the loop rests or sleeps; returns how many milliseconds it can be left alone, Infinity when
   * asleep. Either ends when a frame is due.
   */
  turn(now: number): number {
    if (load(this.parts.command, COMMAND.outcomes) !== this.outcomesSeen) this.followRecorder();
    if (this.isToldToStop()) return this.finish(now);
    if (this.isHeld()) return HOLD_MS;
    const { poller, busyPoll, moderation, gate } = this.parts;
    const isDue = now >= poller.due;
    if (this.state === 'asleep' && !this.isWoken()) {
      if (!isDue) return Infinity;
      this.wake();
    }
    if (now < this.restUntil && !isDue) return this.restUntil - now;
    const done = this.poll();
    const full = done === poller.budget;
    const rest = moderation.after(now, done, full || gate.stopped);
    if (done > 0) this.found(now, done);
    this.report(now, false);
    if (poller.blocked) {
      const pause = this.backoff;
      this.backoff = Math.min(pause * 2, BACKOFF_MAX_MS);
      return this.rest(pause);
    }
    this.backoff = BACKOFF_MS;
    if (done > 0 && this.pollDelayMs > 0) return this.rest(this.pollDelayMs);
    if (rest > 0) return this.rest(rest);
    if (full || busyPoll.keepsPolling(now)) return 0;
    return this.complete(now);
  }

  /** Notes that a poll that began at `now` took frames out of the ring. */
  private found(now: number, frames: number): void {
    const position = this.parts.ring.consumerPosition();
    this.parts.busyPoll.found(now, frames, position - this.position);
    this.position = position;
    this.stalls = 0;
    this.backoff = BACKOFF_MS;
  }

  /** Follows a recorder that came or went: COMMAND.outcomes is a descriptor to take over, or 0. */
  private followRecorder(): void {
    const { poller, command } = this.parts;
    const fd = load(command, COMMAND.outcomes);
    this.stopTelling();
    if (fd === 0) return;
    // Fails if the main thread has taken the descriptor back.
    if (Atomics.compareExchange(command, COMMAND.outcomes, fd, TAKEN) !== fd) return;
    poller.outcomes = OutcomeWriter.take(fd);
    this.outcomesSeen = TAKEN;
  }

  private stopTelling(): void {
    this.parts.poller.outcomes?.close();
    this.parts.poller.outcomes = null;
    this.outcomesSeen = 0;
  }

  private followImpairment(impaired: number): void {
    const { poller, command } = this.parts;
    this.impairedSeen = impaired;
    poller.impaired = impaired !== IMPAIRED.not;
    poller.line = impaired >= IMPAIRED.line ? lineOf(command) : null;
  }

  private poll(): number {
    this.followLink();
    return this.parts.poller.poll();
  }

  private followLink(): void {
    const { poller, command } = this.parts;
    poller.linkDown = load(command, COMMAND.linkDown) !== 0;
    const impaired = load(command, COMMAND.impaired);
    if (impaired !== this.impairedSeen) this.followImpairment(impaired);
  }

  /**
   * Checks for records after a sleep that timed out; a record that no wake-up announced is counted. The ring is read
   * before `armed`: if it has a record while we sleep, the `tx` that submitted it has read `armed` after we set it, and
   * clears it.
   */
  watchdog(): void {
    const { ring, control, poller } = this.parts;
    if (this.state !== 'asleep' || ring.isEmpty() || control.get32(CONTROL.armed) === 0) return;
    poller.count(CONTROL.lostWakeups);
    this.wake();
  }

  /** Ends a sleep, also if there may be work that no record announces. */
  nudge(): void {
    if (this.state === 'asleep' && !this.isWoken()) this.wake();
  }

  /** Goes to sleep as napi_complete does: arms the wake-up, and sleeps only if the ring is still empty. */
  private complete(now: number): number {
    const { control, gate, ring, poller, busyPoll } = this.parts;
    control.set32(CONTROL.armed, 1); // a full barrier: either tx sees it, or isEmpty() sees the record
    if (gate.stopped && ring.isEmpty()) {
      control.set32(CONTROL.armed, 0);
      return gate.roomMoved() ? 0 : this.waitForRoom();
    }
    if (!ring.isEmpty() || this.isToldToStop()) {
      control.set32(CONTROL.armed, 0);
      return 0;
    }
    this.report(now, true);
    poller.count(CONTROL.sleeps);
    busyPoll.worked(clock.now());
    this.state = 'asleep';
    return Infinity;
  }

  /** Whether a record has ended the sleep. */
  private isWoken(): boolean {
    if (this.parts.control.get32(CONTROL.armed) !== 0) return false;
    this.parts.poller.count(CONTROL.wakeups);
    this.wake();
    return true;
  }

  private wake(): void {
    this.parts.control.set32(CONTROL.armed, 0);
    this.state = 'awake';
  }

  /**
   * Waits while the queue is stopped and the ring is empty: held frames are on their way out of the room, which takes
   * microseconds. If nothing comes, grants credit again, and finally has the room inspected.
   */
  private waitForRoom(): number {
    const { gate, onStalled } = this.parts;
    if (gate.stalled >= STALLED_POLLS) {
      gate.stalled = 0;
      gate.unstall();
      if (++this.stalls % STALLS_BEFORE_LOOK === 0) onStalled();
    }
    return this.rest(ROOM_WAIT_MS);
  }

  /**
   * Delivers what was accepted before the end, for DRAIN_MS at most; delayed frames do not wait any longer. With
   * STOP.leave, it delivers only what is no longer in the ring, for LEAVE_MS at most.
   */
  private finish(now: number): number {
    const { ring, poller } = this.parts;
    if (this.state !== 'ending') {
      this.wake();
      this.state = 'ending';
      this.leaves = load(this.parts.command, COMMAND.stop) === STOP.leave;
      this.endBy = now + (this.leaves ? LEAVE_MS : DRAIN_MS);
    }
    poller.hasten(); // each time, because frames that are still in the ring may be delayed, too
    if (now < this.endBy && (this.leaves ? poller.hasWaiting : !ring.isEmpty())) {
      this.followLink();
      if (this.leaves) poller.deliver();
      else poller.poll();
      return poller.blocked ? BACKOFF_MS : 0;
    }
    this.report(now, true);
    this.stopTelling();
    this.state = 'ended';
    return 0;
  }

  private rest(ms: number): number {
    const now = clock.now();
    this.parts.busyPoll.worked(now);
    this.restUntil = now + ms;
    return ms;
  }

  private isHeld(): boolean {
    const { command } = this.parts;
    return (
      load(command, COMMAND.hold) !== 0 && Atomics.compareExchange(command, COMMAND.hold, HOLD.asked, HOLD.done) !== 0
    );
  }

  private isToldToStop(): boolean {
    return load(this.parts.command, COMMAND.stop) !== 0;
  }

  private report(now: number, force: boolean): void {
    if (!force && now - this.lastReport < REPORT_MS) return;
    this.lastReport = now;
    const { control, onQueue } = this.parts;
    const stops = control.get64(CONTROL.stops);
    const stopped = control.get32(CONTROL.gate) & GATE_STOPPED;
    if (stops === this.stopsSeen && stopped === this.stoppedSeen) return;
    this.stopsSeen = stops;
    this.stoppedSeen = stopped;
    onQueue();
  }
}
