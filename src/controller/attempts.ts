// SPDX-License-Identifier: MIT
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
