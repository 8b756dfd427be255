// SPDX-License-Identifier: MIT
/**
 * Looks at each part of an attachment once a second, whether somebody has taken it away: a few system calls each. What can
 * be put back without losing a frame is put back, for the rest the attachment ends cleanly. Either is said in the log. What the daemon
 * does about each part is a table in docs/architecture.md.
 */
import type { Attempts } from './attempts';

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
