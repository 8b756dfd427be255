// SPDX-License-Identifier: MIT
/**
 * How long an idle poller goes on looking before it sleeps. A sleep costs a frame the way through the scheduler; looking
 * costs a processor. By default it looks on only where that pays: the next frame comes sooner than a sleep takes,
 * dealing with frames leaves a third of the time, and they come one by one, as questions and answers do. A sender of many
 * gains more from larger batches, and from the processor; an idle interface has to cost nothing.
 *
 *   found   mean idle     found    mean idle
 *   |=work=|.............|=work=|..............|
 */

/** For so many milliseconds it looks on; the mean pause between frames has to be half of it. */
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

  /** Milliseconds to look on for after the last frame; null: as the traffic is. */
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
