// SPDX-License-Identifier: MIT
/**
 * Decides whether an idle poller busy-polls, and whether a busy one rests.
 *
 * Busy-polling: a sleep delays a frame by a pass through the scheduler; busy-polling occupies a processor. By default
 * the poller busy-polls only where that pays: the next frame arrives sooner than a sleep would take, handling frames
 * leaves a third of the time free, and frames arrive one by one, as requests and responses do. A sender of many frames
 * gains more from larger batches and from a free processor, and an idle interface must cost nothing.
 *
 *   found   mean idle     found    mean idle
 *   |=work=|.............|=work=|..............|
 */

/** How long the poller busy-polls, in milliseconds; the mean pause between frames must be at most half of it. */
const LOOK_MS = 0.1;
/** Longer pauses count as this many milliseconds, so that the mean recovers quickly. */
const PAUSE_MS = 1;
/** Weight of the latest value in the means. */
const WEIGHT = 1 / 8;
/**
 * If polls find more than this on average, in frames or in bytes of the ring, the traffic is a stream. A single value
 * counts as at most twice this much.
 */
const STREAM_FRAMES = 4;
const STREAM_BYTES = 16 << 10;
/**
 * Busy-polling that has lasted this many milliseconds was interrupted by another task: the poller then leaves the
 * processor to it for WAY_MS.
 */
const PREEMPTED_MS = 1;
const WAY_MS = 10;

export class BusyPoll {
  /** When the last poll that found frames began, in milliseconds. */
  private foundAt = -Infinity;
  /** When its frames had been handled. */
  private workedUntil = 0;
  private meanIdle = PAUSE_MS;
  private meanWork = 0;
  private meanFrames = 0;
  private meanBytes = 0;
  private makeWayUntil = -Infinity;

  /** `fixedMs`: milliseconds to busy-poll after the last frame; null lets the traffic decide. */
  constructor(private readonly fixedMs: number | null) {}

  /**
   * Notes that a poll that began at `now`, in milliseconds of the turn's clock, found frames, and their bytes in the
   * ring.
   */
  found(now: number, frames: number, bytes: number): void {
    this.worked(now);
    const idle = Math.min(now - this.workedUntil, PAUSE_MS);
    this.meanIdle += (idle - this.meanIdle) * WEIGHT;
    this.meanFrames += (Math.min(frames, 2 * STREAM_FRAMES) - this.meanFrames) * WEIGHT;
    this.meanBytes += (Math.min(bytes, 2 * STREAM_BYTES) - this.meanBytes) * WEIGHT;
    this.foundAt = now;
  }

  /** Whether to keep busy-polling rather than sleep after a poll that found nothing. */
  keepsPolling(now: number): boolean {
    this.worked(now);
    const idle = now === this.foundAt ? 0 : now - this.workedUntil;
    if (this.fixedMs !== null) return idle < this.fixedMs;
    if (this.meanIdle > LOOK_MS / 2 || this.meanIdle < this.meanWork / 2 || now < this.makeWayUntil) return false;
    if (this.meanFrames > STREAM_FRAMES || this.meanBytes > STREAM_BYTES) return false;
    if (idle > PREEMPTED_MS) this.makeWayUntil = now + WAY_MS;
    return idle < LOOK_MS;
  }

  /**
   * Notes that the frames found had been handled by `now`. The next turn or a rest calls it, which saves reading the
   * clock. Further calls do nothing.
   */
  worked(now: number): void {
    if (now <= this.foundAt || this.workedUntil > this.foundAt) return;
    this.workedUntil = now;
    this.meanWork += (Math.min(now - this.foundAt, PAUSE_MS) - this.meanWork) * WEIGHT;
  }
}

// Interrupt moderation, like a NIC's rx-usecs: in a stream of many small frames the poller rests until more have
// arrived, although some may be waiting already. A poll costs the same for two frames as for sixty, frames that follow
// each other can be merged, and a receiver that is woken for every other frame takes processor time from the sender.
// Nothing needs to wake the poller during a rest, so its interrupt stays disabled.
//
// poll  rest.......  poll  rest.......        one rest: the time in which REST_FRAMES come
//
// A rest shows whether there is a stream: fewer frames come in it if senders wait for what the poller delivers. Such a
// rest has only cost time, so each further one is tried later.

/** Number of frames that make a rest worthwhile. */
export const REST_FRAMES = 32;
/**
 * The longest rest in milliseconds. REST_FRAMES must arrive in it: 128,000 frames a second. A timer adds up to 50 us.
 */
const REST_MAX_MS = 0.25;
/** After a period longer than this many milliseconds, the means are reset as if it had lasted this long. */
const PERIOD_MAX_MS = 1;
/**
 * Milliseconds without a rest after one that did not pay; doubled for each such rest in a row, up to the second value.
 */
const HOLD_OFF_MS = 1;
const HOLD_OFF_MAX_MS = 1024;

export class Moderation {
  /** When the last poll that was not followed by another at once began, and the frames of all polls since then. */
  private since = -Infinity;
  private frames = 0;
  private meanFrames = 0;
  private meanPeriod = PERIOD_MAX_MS;
  /** Whether it has rested since then. */
  private rested = false;
  private holdOff = HOLD_OFF_MS;
  private holdOffUntil = -Infinity;

  /** `on`: whether it may rest at all. */
  constructor(private readonly on: boolean) {}

  /**
   * Notes that a poll that began at `now`, in milliseconds of the turn's clock, took `frames` out of the ring. Returns
   * how many milliseconds to rest before the next poll; 0 if the next poll is due at once, which `due` says if the
   * caller knows it already.
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

  /** Adds what came since the last call to the means. */
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

  /** Checks whether the last rest brought half of the frames that it was for. */
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
