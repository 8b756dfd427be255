// SPDX-License-Identifier: MIT
/**
 * Looks at each part of an attachment once a second, whether somebody has taken it away: a few system calls each. What can
 * be put back without losing a frame is put back, for the rest the attachment ends cleanly. Either is said in the log. What the daemon
 * does about each part is a table in docs/internals.md.
 */

/**
 * Things that may fail without ending the loop: a failure is said once in the log, however often it is tried again, and
 * so is that it works again.
 */
export class Attempts {
  private readonly failing = new Map<string, string>();

  constructor(private readonly log: (text: string) => void) {}

  /** Does it; false if it threw, whatever it threw. */
  try(what: string, body: () => void): boolean {
    try {
      body();
    } catch (error) {
      this.failed(what, error);
      return false;
    }
    this.worked(what);
    return true;
  }

  /** For what ends later than it begins. */
  failed(what: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    if (this.failing.get(what) !== why) this.log(`${what}: ${why}; it is tried again`);
    this.failing.set(what, why);
  }

  worked(what: string): void {
    if (this.failing.delete(what)) this.log(`${what}: done after all`);
  }
}

// Tells a fight from repairs: somebody who undoes each of them is not to be answered for ever.

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

/** Others may do anything at any time; what is noticed within this time is repaired before a person looks. */
const LOOK_MS = 1000;

/** What is wrong with a part. */
export interface Finding {
  /** In words, as a sentence without its end: "somebody removed the control socket". */
  what: string;
  /** Puts it back; without it the attachment cannot go on. */
  repair?: () => unknown;
}

export interface Part {
  name: string;
  /** Null while all is well. */
  look(): Finding | null;
}

export interface Supervision {
  parts: readonly Part[];
  attempts: Attempts;
  log: (text: string) => void;
  /** The attachment cannot go on: called once. */
  broken: (what: string) => void;
}

export class Supervisor implements Disposable {
  private readonly timer: NodeJS.Timeout;
  /** What repair() of the part has not ended yet. */
  private readonly underRepair = new Set<string>();

  constructor(private readonly supervision: Supervision) {
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** One look at everything. Never throws. */
  look(): void {
    const { parts, attempts, log, broken } = this.supervision;
    for (const part of parts) {
      if (this.underRepair.has(part.name)) continue;
      let finding: Finding | null = null;
      if (!attempts.try(`looking at ${part.name}`, () => (finding = part.look()))) continue;
      const found = finding as Finding | null;
      if (!found) continue;
      if (!found.repair) {
        log(`${found.what}: it cannot go on without`);
        this.close();
        return broken(found.what);
      }
      void this.repair(part.name, found.what, found.repair);
    }
  }

  private async repair(name: string, what: string, repair: () => unknown): Promise<void> {
    const { attempts, log } = this.supervision;
    this.underRepair.add(name);
    try {
      await repair();
      log(`${what}: put back`);
      attempts.worked(`putting back ${name}`);
    } catch (error) {
      attempts.failed(`putting back ${name}`, error);
    } finally {
      this.underRepair.delete(name);
    }
  }

  close(): void {
    clearInterval(this.timer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
