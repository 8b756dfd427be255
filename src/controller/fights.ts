// SPDX-License-Identifier: MIT
/** Tells a fight from repairs: somebody who undoes each of them is not to be answered for ever. */

/** More repairs within a minute, or within an hour, are a fight. wg-quick and its like need two for each family. */
const FIGHTS = [
  { repairs: 20, withinMs: 60_000 },
  { repairs: 60, withinMs: 3_600_000 },
] as const;
/** After a fight there is another try, after the second one in twice the time. */
const PAUSE_MS = 60_000;
const PAUSE_MAX_MS = 3_600_000;

export class Fights {
  /** When there was a repair. */
  private readonly repairs: number[] = [];
  private pausedUntil = 0;
  private pauseMs = PAUSE_MS;

  /** `now`: milliseconds of a clock that does not jump. */
  constructor(private readonly now: () => number) {}

  /** Nothing is repaired until there is another try. */
  get isPaused(): boolean {
    return this.now() < this.pausedUntil;
  }

  /** Notes that a repair is due. With one too many a pause begins: its length in minutes, otherwise null. */
  repair(): number | null {
    const now = this.now();
    this.repairs.push(now);
    if (!FIGHTS.some(({ repairs, withinMs }) => this.repairs.filter((time) => time > now - withinMs).length > repairs)) return null;
    this.repairs.length = 0;
    const minutes = this.pauseMs / 60_000;
    this.pausedUntil = now + this.pauseMs;
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    return minutes;
  }
}
