// SPDX-License-Identifier: MIT
/** Runs of the command, several at once, which end early when their outcomes are not needed any more. */
import type { Faults } from '../faults/rules';
import { GivenUp, type Outcome, trial } from './trial';

export interface TrialSettings {
  command: readonly string[];
  addresses: string[];
  /** How many run at once. */
  jobs: number;
  /** Aborted when everything is to end: whatever runs then throws GivenUp. */
  stop: AbortSignal;
  /** How often this process has been stopped, as by Ctrl-Z, and continued. */
  stops: () => number;
}

export class Trials {
  /** How many have been run to their end. */
  count = 0;

  constructor(
    private readonly settings: TrialSettings,
    /** How long a run may take, in milliseconds. */
    public timeoutMs: number,
  ) {}

  async run(faults: Faults | null, signal: AbortSignal, record: string | null = null): Promise<Outcome> {
    const { command, addresses, stops } = this.settings;
    for (;;) {
      const before = stops();
      const outcome = await trial({ command, addresses, faults, timeoutMs: this.timeoutMs, record, signal });
      this.count++;
      // While this process was stopped the command had no network: what came of that says nothing.
      if (stops() === before) return outcome;
    }
  }

  /** Works on all items, several at once. */
  async each<T>(items: Iterable<T>, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
    await this.first(items, async (item, signal) => {
      await work(item, signal);
      return null;
    });
  }

  /**
   * Tries items, several at once, until `attempt` returns something for one of them; null if it does for none. The other
   * attempts then are given up: their signal is aborted.
   */
  async first<T, R>(
    items: Iterable<T>,
    attempt: (item: T, signal: AbortSignal) => Promise<R | null>,
  ): Promise<R | null> {
    const { jobs, stop } = this.settings;
    const over = new AbortController();
    const end = (): void => over.abort();
    if (stop.aborted) end();
    stop.addEventListener('abort', end);
    const left = items[Symbol.iterator]();
    let found: R | null = null;
    const work = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const { done, value } = left.next() as IteratorResult<T, undefined>;
        if (done) return;
        const result = await attempt(value, over.signal);
        if (result === null || over.signal.aborted) continue;
        found = result;
        end();
      }
    };
    const failed: unknown[] = [];
    await Promise.all(
      Array.from({ length: jobs }, () =>
        work().catch((error: unknown) => {
          if (!(error instanceof GivenUp)) failed.push(error);
          end();
        }),
      ),
    );
    stop.removeEventListener('abort', end);
    if (failed.length > 0) throw failed[0];
    if (stop.aborted) throw new GivenUp();
    return found;
  }
}
