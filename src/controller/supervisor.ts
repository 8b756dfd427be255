// SPDX-License-Identifier: MIT
/**
 * Looks at each part of an attachment once a second, to notice whether another program has removed it; each look takes
 * a few system calls. A part that can be restored without losing a frame is restored; otherwise the attachment ends
 * cleanly. Either is logged. docs/internals.md has a table of what the daemon does about each part.
 */

import { isBusy, messageOf } from '../errors';
import { clock } from '../native/clock';

/** How long a step may be kept from its work by another process before that is logged, in milliseconds. */
const BUSY_MS = 5000;

interface Failing {
  why: string;
  /** The time of the first failure. */
  since: number;
  logged: boolean;
}

/**
 * Runs steps that may fail without ending the loop. A failure is logged once, however often the step is retried, and so
 * is its later success; that another process is busy is logged only if it lasts.
 */
export class Attempts {
  private readonly failing = new Map<string, Failing>();

  constructor(private readonly log: (text: string) => void) {}

  /** Runs `body`; false if it threw anything. */
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

  /** Notes a failure, for a step that ends later than it begins. */
  failed(what: string, error: unknown): void {
    const why = messageOf(error);
    const before = this.failing.get(what);
    const since = before?.since ?? clock.now();
    const isNews = before?.why !== why || !before.logged;
    const isDue = !isBusy(error) || clock.now() - since >= BUSY_MS;
    if (isNews && isDue) this.log(`${what}: ${why}; it is tried again`);
    this.failing.set(what, { why, since, logged: isDue || before?.logged === true });
  }

  isFailing(what: string): boolean {
    return this.failing.has(what);
  }

  worked(what: string): void {
    if (this.failing.get(what)?.logged) this.log(`${what}: done after all`);
    this.failing.delete(what);
  }
}

// Distinguishes a fight from repairs: repairs stop if a program keeps undoing them.

/**
 * More repairs than these within a minute, or within an hour, are a fight. wg-quick and similar programs need two for
 * each family.
 */
const FIGHTS = [
  { repairs: 20, withinMs: 60_000 },
  { repairs: 60, withinMs: 3_600_000 },
] as const;
/** Pause after a fight, in milliseconds. It doubles with each further fight, up to PAUSE_MAX_MS. */
const PAUSE_MS = 60_000;
const PAUSE_MAX_MS = 3_600_000;

export class Fights {
  /** The times of the repairs. */
  private readonly repairs: number[] = [];
  private pausedUntil = 0;
  private pauseMs = PAUSE_MS;

  /** `now` is monotonic time in milliseconds. */
  constructor(private readonly now: () => number) {}

  /** Whether repairs are paused. */
  get isPaused(): boolean {
    return this.now() < this.pausedUntil;
  }

  /**
   * Notes that a repair is due. Returns null, or, if it is one too many, the length of the pause that begins, in
   * minutes.
   */
  repair(): number | null {
    const now = this.now();
    this.repairs.push(now);
    if (!FIGHTS.some(({ repairs, withinMs }) => this.repairs.filter((time) => time > now - withinMs).length > repairs))
      return null;
    this.repairs.length = 0;
    const minutes = this.pauseMs / 60_000;
    this.pausedUntil = now + this.pauseMs;
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    return minutes;
  }
}

/** The repairs of several things, each with its own fights. */
export class Repairs {
  private readonly fights = new Map<string, Fights>();

  constructor(private readonly log: (text: string) => void) {}

  /** Whether repairs of the thing of that name are paused. */
  isPaused(name: string): boolean {
    return this.fights.get(name)?.isPaused === true;
  }

  /** Whether it may be repaired now. A pause that begins is logged, in the words of `fight`. */
  may(name: string, fight: (minutes: number) => string): boolean {
    const fights = this.fights.get(name) ?? new Fights(() => clock.now());
    this.fights.set(name, fights);
    if (fights.isPaused) return false;
    const pause = fights.repair();
    if (pause !== null) this.log(fight(pause));
    return pause === null;
  }
}

/** Time between two looks, in milliseconds: what is noticed that soon is repaired before a person looks. */
const LOOK_MS = 1000;

/** What is wrong with a part. */
export interface Finding {
  /** A clause for messages: "somebody removed the control socket". */
  what: string;
  /** Restores the part. Without it the attachment cannot go on. */
  repair?: () => unknown;
  /** Whether it is restored even in a fight, in which the log says nothing then: commands rely on it. */
  always?: boolean;
}

export interface Part {
  name: string;
  /** Checks the part; null while all is well. */
  look(): Finding | null;
}

export interface Supervision {
  parts: readonly Part[];
  attempts: Attempts;
  log: (text: string) => void;
  /** Called once, when the attachment cannot go on. */
  broken: (what: string) => void;
}

export class Supervisor implements Disposable {
  private readonly timer: NodeJS.Timeout;
  /** Names of the parts whose repair has not ended yet. */
  private readonly underRepair = new Set<string>();
  private readonly repairs: Repairs;

  constructor(private readonly supervision: Supervision) {
    this.repairs = new Repairs(supervision.log);
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Looks at every part. Never throws. */
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
      const isPeace = this.mayRepair(part.name, found);
      if (isPeace || found.always) void this.repair(part.name, found, isPeace);
    }
  }

  /** Whether no program undoes each repair. A repair that has failed is no reason to think so. */
  private mayRepair(name: string, { what, always }: Finding): boolean {
    const then = always ? 'it is put back each time, which the log does not say' : 'it is left as it is';
    const fight = (minutes: number): string => `${what}, again and again: ${then} for ${minutes} min`;
    return this.supervision.attempts.isFailing(stepOf(name)) || this.repairs.may(name, fight);
  }

  private async repair(name: string, { what, repair }: Finding, isNews: boolean): Promise<void> {
    const { attempts, log } = this.supervision;
    this.underRepair.add(name);
    try {
      await repair?.();
      if (isNews) log(`${what}: put back`);
      attempts.worked(stepOf(name));
    } catch (error) {
      attempts.failed(stepOf(name), error);
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

/** The name of a repair among the attempts. */
const stepOf = (part: string): string => `putting back ${part}`;
