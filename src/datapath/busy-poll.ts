// SPDX-License-Identifier: MIT
/**
 * How long an idle poller goes on looking before it sleeps. A sleep costs a frame the way through the scheduler; looking
 * costs a processor. By default it looks on only where that pays: the next frame comes sooner than a sleep takes, and
 * dealing with frames leaves a third of the time. A busy sender gains more from larger batches, and an idle interface has
 * to cost nothing.
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
/** Looking that lasted so long was interrupted: somebody else needs the processor, and gets it for so long. */
const PREEMPTED_MS = 1;
const WAY_MS = 10;

export class BusyPoll {
  /** When the last frames had been dealt with. */
  private workedUntil = -Infinity;
  private meanIdle = PAUSE_MS;
  private meanWork = 0;
  private makeWayUntil = -Infinity;

  /** Milliseconds to look on for after the last frame; null: as the traffic is. */
  constructor(private readonly fixedMs: number | null) {}

  /** A poll has found frames; when it began and ended, in milliseconds of performance.now(). */
  found(began: number, ended: number): void {
    const idle = Math.min(began - this.workedUntil, PAUSE_MS);
    this.meanIdle += (idle - this.meanIdle) * WEIGHT;
    this.meanWork += (Math.min(ended - began, PAUSE_MS) - this.meanWork) * WEIGHT;
    this.workedUntil = ended;
  }

  /** Whether to look again rather than to sleep, although nothing more was found. */
  looksOn(now: number): boolean {
    const idle = Math.max(0, now - this.workedUntil); // `now` may be from before the frames were dealt with
    if (this.fixedMs !== null) return idle < this.fixedMs;
    if (this.meanIdle > LOOK_MS / 2 || this.meanIdle < this.meanWork / 2 || now < this.makeWayUntil) return false;
    if (idle > PREEMPTED_MS) this.makeWayUntil = now + WAY_MS;
    return idle < LOOK_MS;
  }
}
