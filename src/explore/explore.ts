// SPDX-License-Identifier: MIT
/**
 * Finds the fewest and smallest faults that make a command fail.
 *
 *   without faults: does it fail by itself?                              then it is flaky
 *   with faults, a seed for each run: does it fail?                      then its log has the faults that happened
 *   with these faults, without chance: does it fail in the same way?     then some of them are the causes
 *   with fewer of them (ddmin.ts), plainer (plain.ts), smaller ones (smaller.ts)
 *   with what is left, and without faults, several times: how often?
 *
 * "In the same way" means: with the same exit code, or without an end in time.
 */
import type { Faults } from '../faults/rules';
import { SEED_MAX } from '../options/values';
import { type Cause, causesOf, rulesFor, wholeRules } from './causes';
import { FailedAlone, Shrinking } from './shrinking';
import { GivenUp, type Outcome } from './trial';
import { type TrialSettings, Trials } from './trials';
import type { Found, Tally, Verdict } from './verdict';

export interface Settings extends TrialSettings {
  faults: Faults;
  /** The most runs in which a failure is looked for. */
  runs: number;
  /** How long a run may take, in milliseconds; null: by how long it takes without faults. */
  timeoutMs: number | null;
  /** File for the recording of a failing run. */
  recordTo: string;
}

/** Runs without faults, at first; and once the command has been seen to fail without any. */
const ALONE = { first: 5, more: 20 } as const;
/** How long a run may take: without faults, and with them by that time; milliseconds. */
const TIMEOUT = { alone: 60_000, least: 10_000, factor: 5 } as const;
/** Runs with what was found, and one without for every two of them; `least` at least, until that time has passed. */
const CONFIRMING = { runs: 10, least: 3, ms: 60_000 } as const;

/** Reports a step, for people who wait. */
export type Say = (text: string) => void;

const failing = ({ status }: Outcome): boolean => status !== 0;

export class Exploration {
  private readonly trials: Trials;
  private readonly alone: Tally = { failed: 0, runs: 0 };
  private explored = 0;
  /** The last failure that could not be repeated. */
  private once: Outcome | null = null;
  private best: Found | null = null;
  private readonly seeds: Iterator<number>;
  private shrinking: Shrinking | null = null;
  private doing = '';

  constructor(
    private readonly settings: Settings,
    private readonly say: Say,
  ) {
    this.trials = new Trials(settings, settings.timeoutMs ?? TIMEOUT.alone);
    this.seeds = seedsFrom(settings.faults.seed, settings.runs);
  }

  /** What is being done, in a few words. */
  get progress(): string {
    const { explored, settings, shrinking, best, trials } = this;
    const doing = shrinking?.doing ?? this.doing;
    if (doing === 'exploring') return `run ${explored + 1} of ${settings.runs}`;
    const left = best?.causes.length ?? 0;
    const howMany = shrinking === null || left === 0 ? '' : `, ${left} fault${left === 1 ? '' : 's'} left`;
    return `${doing}: ${trials.count} runs${howMany}`;
  }

  async run(): Promise<Verdict> {
    try {
      return await this.explore();
    } catch (error) {
      const { alone, explored: runs, best } = this;
      if (!(error instanceof GivenUp)) throw error;
      return best === null ? { kind: 'stopped', alone, runs } : { kind: 'found', alone, runs, found: best };
    }
  }

  private async explore(): Promise<Verdict> {
    const { alone } = this;
    await this.runAlone(ALONE.first);
    if (alone.failed > 0) return { kind: 'flaky', alone, runs: 0, once: this.once, found: null };
    try {
      return await this.search();
    } catch (error) {
      if (!(error instanceof FailedAlone)) throw error;
      this.once = error.outcome;
      this.best = null;
      this.say(`${endOf(error.outcome)}, although no fault had happened`);
      await this.runAlone(ALONE.more);
      return { kind: 'flaky', alone, runs: this.explored, once: this.once, found: null };
    }
  }

  /** Looks for failures until one can be repeated. */
  private async search(): Promise<Verdict> {
    const { alone } = this;
    for (;;) {
      const failure = await this.nextFailure();
      const { explored: runs, once } = this;
      if (failure === null)
        return once === null ? { kind: 'nothing', alone, runs } : { kind: 'flaky', alone, runs, once, found: null };
      if (!(await this.shrink(failure.seed, failure.outcome))) continue;
      const found = await this.confirm();
      if (found.confirmed.failed === 0) {
        this.notAgain(failure.outcome);
        continue;
      }
      return alone.failed > 0
        ? { kind: 'flaky', alone, runs, once: null, found }
        : { kind: 'found', alone, runs, found };
    }
  }

  /** Runs the command without faults. */
  private async runAlone(times: number): Promise<void> {
    this.doing = 'without faults';
    let longest = 0;
    await this.trials.each(Array(times).keys(), async (_, signal) => {
      const outcome = await this.trials.run(null, signal);
      this.countAlone(outcome);
      longest = Math.max(longest, outcome.ms);
    });
    this.trials.timeoutMs = this.settings.timeoutMs ?? Math.max(TIMEOUT.least, TIMEOUT.factor * longest);
  }

  private countAlone(outcome: Outcome): void {
    this.alone.runs++;
    if (!failing(outcome)) return;
    this.alone.failed++;
    this.once ??= outcome;
  }

  /** Runs the command with other seeds until it fails; null if it does not. */
  private async nextFailure(): Promise<{ seed: number; outcome: Outcome } | null> {
    const { faults } = this.settings;
    this.doing = 'exploring';
    return this.trials.first({ [Symbol.iterator]: () => this.seeds }, async (seed, signal) => {
      const outcome = await this.trials.run({ ...faults, seed }, signal);
      this.explored++;
      return failing(outcome) ? { seed, outcome } : null;
    });
  }

  /** Finds the causes of a failure. False if it cannot be repeated. */
  private async shrink(seed: number, outcome: Outcome): Promise<boolean> {
    const faults = { ...this.settings.faults, seed };
    const count = causesOf(faults, outcome.log).length;
    if (count === 0) throw new FailedAlone(outcome);
    this.say(`seed ${seed}: ${endOf(outcome)}, after ${count} fault${count === 1 ? '' : 's'}`);
    const keep = (causes: readonly Cause[]): void => this.keep(causes, seed, outcome);
    keep(wholeRules(faults));
    this.shrinking = new Shrinking(this.trials, faults, outcome, keep);
    const causes = await this.shrinking.run();
    this.shrinking = null;
    if (causes === null) this.notAgain(outcome);
    else (this.best as Found).isSmallest = true;
    return causes !== null;
  }

  private notAgain(outcome: Outcome): void {
    this.once = outcome;
    this.best = null;
    this.say('not again with the same faults; others are tried');
  }

  private keep(causes: readonly Cause[], seed: number, outcome: Outcome): void {
    this.best = {
      causes,
      faults: rulesFor(causes, seed).faults,
      seed,
      outcome,
      confirmed: { failed: 0, runs: 0 },
      isSmallest: false,
      isRecorded: false,
      unrecorded: null,
    };
  }

  /** Runs with what was found and without it, in turn, and records a run that fails. */
  private async confirm(): Promise<Found> {
    const found = this.best as Found;
    const { settings, trials } = this;
    this.doing = 'confirming';
    const start = performance.now();
    let isRecording = false;
    await trials.each(turns(CONFIRMING.runs), async ({ number, isAlone }, signal) => {
      if (number > CONFIRMING.least && performance.now() - start > CONFIRMING.ms) return;
      if (isAlone) return this.countAlone(await trials.run(null, signal));
      const record = !isRecording && !found.isRecorded && found.unrecorded === null;
      isRecording ||= record;
      const outcome = await trials.run(found.faults, signal, record ? settings.recordTo : null);
      found.confirmed.runs++;
      const isSame = outcome.status === found.outcome.status;
      if (isSame) found.confirmed.failed++;
      if (isSame) found.outcome = outcome;
      if (record) isRecording = false;
      found.unrecorded ??= outcome.unrecorded;
      found.isRecorded ||= record && isSame && outcome.unrecorded === null;
    });
    return found;
  }
}

/** Seeds, one after the other. */
function* seedsFrom(first: number, count: number): Iterator<number> {
  for (let i = 0; i < count; i++) yield (first + i) % (SEED_MAX + 1);
}

/** Runs with faults, numbered from 1, and one without after every second of them. */
function* turns(count: number): Iterable<{ number: number; isAlone: boolean }> {
  for (let number = 1; number <= count; number++) {
    yield { number, isAlone: false };
    if (number % 2 === 0) yield { number, isAlone: true };
  }
}

/** How a run ended, in words. */
export const endOf = ({ status, ms }: Pick<Outcome, 'status' | 'ms'>): string =>
  status === null ? `no end within ${Number((ms / 1000).toFixed(1))} s` : `exit code ${status}`;
