// SPDX-License-Identifier: MIT
/**
 * Whether an idle poller busy-polls, and whether a busy one rests.
 *
 * Busy-polling: a sleep costs a frame the way through the scheduler; busy-polling costs a processor. By default the
 * poller busy-polls only where it pays: the next frame comes sooner than a sleep takes, handling frames leaves a third
 * of the time free, and frames come one by one, as questions and answers do. A sender of many frames gains more from
 * larger batches, and from the processor; an idle interface has to cost nothing.
 *
 *   found   mean idle     found    mean idle
 *   |=work=|.............|=work=|..............|
 */

/** How long it busy-polls, in milliseconds; the mean pause between frames has to be at most half of it. */
const LOOK_MS = 0.1;
/** A longer pause counts as one of so many milliseconds, so that the mean comes back soon. */
const PAUSE_MS = 1;
/** Weight of the latest in the means. */
const WEIGHT = 1 / 8;
/** Polls that find more than this in the mean, frames or bytes of the ring, carry a stream; twice as much is the most that counts. */
const STREAM_FRAMES = 4;
const STREAM_BYTES = 16 << 10;
/** Looking that lasted so long was interrupted: somebody else needs the processor, and gets it for so long. */
const PREEMPTED_MS = 1;
const WAY_MS = 10;

export class BusyPoll {
  /** When the last poll that found frames began. */
  private foundAt = -Infinity;
  /** When it had dealt with them. */
  private workedUntil = 0;
  private meanIdle = PAUSE_MS;
  private meanWork = 0;
  private meanFrames = 0;
  private meanBytes = 0;
  private makeWayUntil = -Infinity;

  /** Milliseconds to busy-poll after the last frame; null: depends on the traffic. */
  constructor(private readonly fixedMs: number | null) {}

  /** A poll that began at `now`, in milliseconds of the turn's clock, has found so many frames and bytes. */
  found(now: number, frames: number, bytes: number): void {
    this.worked(now);
    const idle = Math.min(now - this.workedUntil, PAUSE_MS);
    this.meanIdle += (idle - this.meanIdle) * WEIGHT;
    this.meanFrames += (Math.min(frames, 2 * STREAM_FRAMES) - this.meanFrames) * WEIGHT;
    this.meanBytes += (Math.min(bytes, 2 * STREAM_BYTES) - this.meanBytes) * WEIGHT;
    this.foundAt = now;
  }

  /** Whether to look again rather than to sleep, although nothing more was found. */
  looksOn(now: number): boolean {
    this.worked(now);
    const idle = now === this.foundAt ? 0 : now - this.workedUntil;
    if (this.fixedMs !== null) return idle < this.fixedMs;
    if (this.meanIdle > LOOK_MS / 2 || this.meanIdle < this.meanWork / 2 || now < this.makeWayUntil) return false;
    if (this.meanFrames > STREAM_FRAMES || this.meanBytes > STREAM_BYTES) return false;
    if (idle > PREEMPTED_MS) this.makeWayUntil = now + WAY_MS;
    return idle < LOOK_MS;
  }

  /**
   * What was found has been dealt with by `now`: told by the next turn, which saves a look at the clock, and before a
   * pause. Told again, it does nothing.
   */
  worked(now: number): void {
    if (now <= this.foundAt || this.workedUntil > this.foundAt) return;
    this.workedUntil = now;
    this.meanWork += (Math.min(now - this.foundAt, PAUSE_MS) - this.meanWork) * WEIGHT;
  }
}

// Interrupt moderation, as a NIC's rx-usecs: in a stream of many small frames the poller rests until some more have
// come, although there may be work already. A poll costs what it costs, for two frames as for sixty; frames that
// follow each other are merged; and a receiver that is woken for every other frame keeps the sender from its
// processor. In that time nothing has to wake the poller, for its interrupt stays disabled.
//
// poll  rest.......  poll  rest.......        one rest: the time in which REST_FRAMES come
//
// Whether there is a stream, a rest shows: if those who send wait for what the poller delivers, fewer come in it. Then
// it has only cost time, and the next is tried later and later.

/** Frames worth a rest. */
export const REST_FRAMES = 32;
/** The longest rest in milliseconds; REST_FRAMES have to come in it: 128,000 frames a second. A timer adds up to 50 us. */
const REST_MAX_MS = 0.25;
/** After a longer time the means begin anew, as if it had been so long. */
const PERIOD_MAX_MS = 1;
/** After a rest that did not pay, none for so long; twice as long after the next in a row, at most the second value. */
const HOLD_OFF_MS = 1;
const HOLD_OFF_MAX_MS = 1024;

export class Moderation {
  /** When the last poll that was not followed by another at once began, and the frames of all since then. */
  private since = -Infinity;
  private frames = 0;
  private meanFrames = 0;
  private meanPeriod = PERIOD_MAX_MS;
  /** It has rested since then. */
  private rested = false;
  private holdOff = HOLD_OFF_MS;
  private holdOffUntil = -Infinity;

  /** `on`: whether it may rest at all. */
  constructor(private readonly on: boolean) {}

  /**
   * A poll that began at `now`, in milliseconds of the turn's clock, has taken so many frames out of the ring. Returns
   * for how many milliseconds to rest before the next; 0 if it is due, as it is said to be with `due`.
   */
  after(now: number, frames: number, due: boolean): number {
    this.frames += frames;
    if (due || !this.on) return 0;
    this.measure(now);
    if (frames === 0 || now < this.holdOffUntil) return 0;
    const rest = (REST_FRAMES * this.meanPeriod) / this.meanFrames;
    if (rest > REST_MAX_MS) return 0;
    this.rested = true;
    return rest;
  }

  /** Takes what came since the last time into the means. */
  private measure(now: number): void {
    const { frames } = this;
    if (this.rested) this.judge(now, frames);
    if (frames === 0) return;
    const period = now - this.since;
    this.since = now;
    this.frames = 0;
    if (period > PERIOD_MAX_MS) {
      this.meanFrames = (frames * PERIOD_MAX_MS) / period;
      this.meanPeriod = PERIOD_MAX_MS;
    } else {
      this.meanFrames += (frames - this.meanFrames) * WEIGHT;
      this.meanPeriod += (period - this.meanPeriod) * WEIGHT;
    }
  }

  /** Whether the last rest brought half of what it was for. */
  private judge(now: number, frames: number): void {
    this.rested = false;
    if (frames >= REST_FRAMES / 2) {
      this.holdOff = HOLD_OFF_MS;
      return;
    }
    this.holdOffUntil = now + this.holdOff;
    this.holdOff = Math.min(this.holdOff * 2, HOLD_OFF_MAX_MS);
  }
}
