// SPDX-License-Identifier: MIT
/** The timers of one hook: they end with it, and an error in one is the hook's. */
import type { HookTimer } from './contract';

export class HookTimers {
  private readonly running = new Set<NodeJS.Timeout>();

  constructor(private readonly failed: (error: unknown) => void) {}

  after(milliseconds: number, callback: () => void): HookTimer {
    return this.keep((end) =>
      setTimeout(() => {
        end();
        this.call(callback);
      }, milliseconds),
    );
  }

  every(milliseconds: number, callback: () => void): HookTimer {
    return this.keep(() => setInterval(() => this.call(callback), milliseconds));
  }

  /** Ends them all. */
  clear(): void {
    for (const timer of this.running) clearTimeout(timer);
    this.running.clear();
  }

  private keep(start: (end: () => void) => NodeJS.Timeout): HookTimer {
    const cancel = (): void => {
      clearTimeout(timer);
      this.running.delete(timer);
    };
    const timer = start(cancel);
    this.running.add(timer);
    return { cancel };
  }

  private call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.failed(error);
    }
  }
}
