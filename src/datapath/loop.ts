// SPDX-License-Identifier: MIT
/**
 * The loop around poll(budget) of one queue, as NAPI runs a driver: poll again while the budget is used up; when less
 * was done, busy-poll for a while (pacing.ts) or arm the wake-up, poll once more, and only then sleep. It does not
 * block: each turn polls once and returns how long the queue can be left alone. worker.ts and hooks/event-loop.ts call
 * it.
 */
import { loadAcquire, type RingReader } from 'libbpf-ts';

import { CONTROL } from '../layout';
import { clock } from '../native/clock';
import { type LineParameters, LineQueue } from './line-queue';
import { Fates, TAKEN } from './outcomes';
import type { BusyPoll, Moderation } from './pacing';
import type { Poller } from './poller';
import { GATE_STOPPED, type QueueGate } from './queue-gate';
import type { SharedWords } from './shared-memory';

/** Looking it up in the module each time takes longer than the load. */
const load = loadAcquire;

/** Words of the shared array through which the main thread talks to the loop of an interface. */
export const COMMAND = { stop: 0, linkDown: 1, pollDelayUs: 2, impaired: 3, fates: 4, lineRate: 5, lineQueue: 6, hold: 7, words: 8 } as const;

/** What stands between the socket and the interface: a qdisc of `vnet-bpf impair`, with the queue of its line if frames are lost there. */
export type Impaired = { line: LineParameters | null } | null;

/** Values of the word impaired; from the last one on there is a line, and each new one has a number of its own. */
const IMPAIRED = { not: 0, waits: 1, line: 2 } as const;

/** The words that say so, in the order in which they have to be written; `serial` differs from the one before. */
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
  const [bytesPerSecond = 0, queueMs = 0] = new Float32Array(Int32Array.of(load(command, COMMAND.lineRate), load(command, COMMAND.lineQueue)).buffer);
  return new LineQueue({ bytesPerSecond, queueMs });
}

/** What a loop is to know from its first poll on. */
export interface Conditions {
  /** Microseconds to rest after each batch; for tests. */
  pollDelayUs: number;
  linkDown: boolean;
  impaired: Impaired;
}

export function setConditions(command: Int32Array, { pollDelayUs, linkDown, impaired }: Conditions): void {
  command[COMMAND.pollDelayUs] = pollDelayUs;
  command[COMMAND.linkDown] = linkDown ? 1 : 0;
  for (const [word, value] of impairedWords(impaired, 0)) command[word] = value;
}

/** Values of the stop word: end when the ring has been delivered, or at once because another thread takes over. */
export const STOP = { deliver: 1, leave: 2 } as const;

/** Values of the word hold: frames are to stay in the ring, and they do. */
export const HOLD = { asked: 1, done: 2 } as const;
/** How often the loop looks whether it still has to. */
const HOLD_MS = 1;

/** How long to leave a socket alone that takes nothing; grows to the second value. */
const BACKOFF_MS = 1;
const BACKOFF_MAX_MS = 50;
/** How long to wait for a frame out of the waiting room. */
const ROOM_WAIT_MS = 1;
/** Empty polls before the room is granted credit anew, and such grants before it is looked into. */
const STALLED_POLLS = 20;
const STALLS_BEFORE_LOOK = 3;
/** How long the end of the loop may take to deliver what is still in the ring. */
const DRAIN_MS = 200;
const REPORT_MS = 50;

export interface LoopParts {
  poller: Pick<Poller, 'poll' | 'budget' | 'blocked' | 'linkDown' | 'impaired' | 'line' | 'fates' | 'count'>;
  gate: Pick<QueueGate, 'stopped' | 'stalled' | 'unstall' | 'roomMoved'>;
  ring: Pick<RingReader, 'isEmpty' | 'consumerPosition'>;
  control: SharedWords;
  /** COMMAND words, shared with the main thread. */
  command: Int32Array;
  /** Whether to go on looking before it arms and sleeps. */
  busyPoll: BusyPoll;
  /** Whether to rest although there may be frames already. */
  moderation: Moderation;
  /** Called at most every 50 ms when the queue has stopped or woken. */
  onQueue: () => void;
  /** Called when held frames seem to be lost: somebody has to look into the waiting room. */
  onStalled: () => void;
}

/** `asleep`: armed, the next record wakes it. `ending`: told to stop, delivers what is in the ring. */
type State = 'awake' | 'asleep' | 'ending' | 'ended';

export class PollLoop {
  state: State = 'awake';
  /** Not to be polled before; milliseconds of its clock. */
  private restUntil = 0;
  private endBy = Infinity;
  private backoff = BACKOFF_MS;
  private stalls = 0;
  private stopsSeen = 0;
  /** COMMAND.fates as it was acted upon. */
  private fatesSeen = 0;
  private impairedSeen = 0;
  private stoppedSeen = 0;
  private lastReport = -REPORT_MS;
  private readonly pollDelayMs: number;
  /** The ring's consumer position after the latest frames. */
  private position: number;

  constructor(private readonly parts: LoopParts) {
    this.pollDelayMs = load(parts.command, COMMAND.pollDelayUs) / 1000;
    this.position = parts.ring.consumerPosition();
  }

  /** Polls once unless it rests or sleeps; returns for how many milliseconds it can be left alone, Infinity when asleep. */
  turn(now: number): number {
    if (load(this.parts.command, COMMAND.fates) !== this.fatesSeen) this.followRecorder();
    if (this.isToldToStop()) return this.finish(now);
    if (this.isHeld()) return HOLD_MS;
    if (this.state === 'asleep' && !this.isWoken()) return Infinity;
    if (now < this.restUntil) return this.restUntil - now;
    const { poller, busyPoll, moderation, gate } = this.parts;
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
    if (full || busyPoll.looksOn(now)) return 0;
    return this.complete(now);
  }

  /** A poll that began at `now` has taken frames out of the ring. */
  private found(now: number, frames: number): void {
    const position = this.parts.ring.consumerPosition();
    this.parts.busyPoll.found(now, frames, position - this.position);
    this.position = position;
    this.stalls = 0;
    this.backoff = BACKOFF_MS;
  }

  /** A recorder has come or gone: COMMAND.fates is a descriptor to take over, or 0. */
  private followRecorder(): void {
    const { poller, command } = this.parts;
    const fd = load(command, COMMAND.fates);
    this.stopTelling();
    if (fd === 0) return;
    // Unless the main thread has taken it back.
    if (Atomics.compareExchange(command, COMMAND.fates, fd, TAKEN) !== fd) return;
    poller.fates = Fates.take(fd);
    this.fatesSeen = TAKEN;
  }

  private stopTelling(): void {
    this.parts.poller.fates?.close();
    this.parts.poller.fates = null;
    this.fatesSeen = 0;
  }

  private followImpairment(impaired: number): void {
    const { poller, command } = this.parts;
    this.impairedSeen = impaired;
    poller.impaired = impaired !== IMPAIRED.not;
    poller.line = impaired >= IMPAIRED.line ? lineOf(command) : null;
  }

  private poll(): number {
    const { poller, command } = this.parts;
    poller.linkDown = load(command, COMMAND.linkDown) !== 0;
    const impaired = load(command, COMMAND.impaired);
    if (impaired !== this.impairedSeen) this.followImpairment(impaired);
    return poller.poll();
  }

  /**
   * Looks after a sleep that ended by its time-out: a record that nobody announced is counted. The
   * record is looked for first: one that is there while we sleep was submitted by a `tx` that has
   * looked at `armed` after we had set it, and clears it.
   */
  watchdog(): void {
    const { ring, control, poller } = this.parts;
    if (this.state !== 'asleep' || ring.isEmpty() || control.get32(CONTROL.armed) === 0) return;
    poller.count(CONTROL.lostWakeups);
    this.wake();
  }

  /** There is work that no record announces. */
  nudge(): void {
    if (this.state === 'asleep') this.wake();
  }

  /** napi_complete: arm, look again, sleep. */
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
   * The queue is stopped but the ring is empty: held frames are on their way out of the room.
   * They take microseconds; if nothing comes, grant again, and in the end have the room looked into.
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

  /** What was accepted before the end is delivered, within reason. */
  private finish(now: number): number {
    const { ring, poller } = this.parts;
    if (this.state !== 'ending') {
      this.wake();
      this.state = 'ending';
      this.endBy = load(this.parts.command, COMMAND.stop) === STOP.leave ? now : now + DRAIN_MS;
    }
    if (!ring.isEmpty() && now < this.endBy) {
      this.poll();
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
    return load(command, COMMAND.hold) !== 0 && Atomics.compareExchange(command, COMMAND.hold, HOLD.asked, HOLD.done) !== 0;
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
