// SPDX-License-Identifier: MIT
/**
 * Finds the fewest and smallest faults that make a command fail.
 *
 *   without faults: does it fail by itself?                              then it is flaky
 *   with faults, a seed for each run: does it fail?                      then its log has the faults that happened
 *   with these faults, without chance: does it fail in the same way?     then some of them are the causes
 *   with fewer of them (ddmin.ts), plainer (plain.ts), smaller ones (smaller.ts)
 *   with what is left, and without faults, several times in turn: how often?
 *
 * "In the same way" means: with the same exit code, or without an end in time.
 */
import type { Effect, Faults } from '../faults/rules';
import { SEED_MAX } from '../options/values';
import { type Cause, causesOf, type Pin, rulesFor, wholeRules } from './causes';
import { ddmin } from './ddmin';
import { observationOf } from './plain';
import { firstThatFails, lesser, smaller } from './smaller';
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
/** Runs that show whether a failure is repeatable. */
const REPEATS = 3;
/** Runs of a set of faults before it counts as harmless, where a failure does not come each time. */
const TRIES = 4;
/** Runs in which a smaller fault must fail each time. */
const SURE = 3;
/** Runs with what was found, and as many without; at least `least`, until `ms` milliseconds have passed. */
const CONFIRMING = { runs: 10, least: 3, ms: 60_000 } as const;

/** Says that the command has failed although no fault had happened. */
class FailedAlone extends Error {}

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
  /** Sets of faults with which the command has not failed, by their rules. */
  private readonly harmless = new Set<string>();
  private readonly seeds: Iterator<number>;
  /** Whether the command fails each time with all the faults of the run. */
  private isReliable = true;
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
    const { explored, settings, doing, best, trials } = this;
    if (doing === 'exploring') return `run ${explored + 1} of ${settings.runs}`;
    const left = best === null ? '' : `, ${best.causes.length} fault${best.causes.length === 1 ? '' : 's'} left`;
    return `${doing}: ${trials.count} runs${left}`;
  }

  async run(): Promise<Verdict> {
    try {
      return await this.explore();
    } catch (error) {
      const { alone, explored: runs, best } = this;
      if (error instanceof FailedAlone) return { kind: 'flaky', alone, runs, once: this.once, found: null };
      if (!(error instanceof GivenUp)) throw error;
      return best === null ? { kind: 'stopped', alone, runs } : { kind: 'found', alone, runs, found: best };
    }
  }

  private async explore(): Promise<Verdict> {
    const { alone } = this;
    await this.runAlone(ALONE.first);
    if (alone.failed > 0) throw new FailedAlone();
    for (;;) {
      const failure = await this.nextFailure();
      const { explored: runs, once } = this;
      if (failure === null)
        return once === null ? { kind: 'nothing', alone, runs } : { kind: 'flaky', alone, runs, once, found: null };
      if (!(await this.isolate(failure.seed, failure.outcome))) continue;
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
  private async isolate(seed: number, outcome: Outcome): Promise<boolean> {
    const faults = { ...this.settings.faults, seed };
    const all = causesOf(faults, outcome.log);
    this.doing = 'repeating';
    if (all.length === 0) await this.failedAlone(outcome);
    this.say(`seed ${seed}: ${endOf(outcome)}, after ${all.length} fault${all.length === 1 ? '' : 's'}`);
    this.harmless.clear();
    const keep = (causes: readonly Cause[]): void => this.keep(causes, seed, outcome);
    keep(wholeRules(faults));
    const repeated = (await this.repeat(all, seed, outcome)) ?? (await this.repeat(wholeRules(faults), seed, outcome));
    if (repeated === null) {
      this.notAgain(outcome);
      return false;
    }
    this.doing = 'fewer faults';
    keep(repeated);
    const find = (candidates: Iterable<readonly Cause[]>): Promise<readonly Cause[] | null> =>
      this.trials.first(candidates, (each, signal) => this.check(each, seed, outcome, signal));
    let causes = await ddmin(repeated, find, keep);
    this.doing = 'plainer faults';
    keep((causes = await this.plainer(causes, seed, outcome)));
    this.doing = 'smaller faults';
    for (let i = 0; i < causes.length; i++) keep((causes = await this.smallerAt(i, causes, seed, outcome)));
    (this.best as unknown as Found).isSmallest = true;
    return true;
  }

  private notAgain(outcome: Outcome): void {
    this.once = outcome;
    this.best = null;
    this.say('not again with the same faults; others are tried');
  }

  private async failedAlone(outcome: Outcome): Promise<never> {
    this.once = outcome;
    this.say(`${endOf(outcome)}, although no fault had happened`);
    await this.runAlone(ALONE.more);
    throw new FailedAlone();
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
    };
  }

  /** Runs with the same faults again; those that happened then, or null if the command did not fail again. */
  private async repeat(causes: readonly Cause[], seed: number, outcome: Outcome): Promise<readonly Cause[] | null> {
    let fewest: readonly Cause[] | null = null;
    let failed = 0;
    await this.trials.each(Array(REPEATS).keys(), async (_, signal) => {
      const left = await this.attempt(causes, seed, outcome, signal);
      if (left === null) return;
      failed++;
      if (fewest === null || left.length < fewest.length) fewest = left;
    });
    this.isReliable = failed === REPEATS;
    return fewest;
  }

  /** Runs with faults; those that happened, or null if the command did not fail in the same way. */
  private async attempt(
    causes: readonly Cause[],
    seed: number,
    outcome: Outcome,
    signal: AbortSignal,
  ): Promise<readonly Cause[] | null> {
    const { faults, happened } = rulesFor(causes, seed);
    const again = await this.trials.run(faults, signal);
    if (again.status !== outcome.status) return null;
    const left = happened(again.log);
    if (left.length === 0) await this.failedAlone(again);
    return left;
  }

  /**
   * Whether the command fails in the same way with fewer faults: those that happened, or null. Where it failed each time
   * with all of them it must do so with fewer, too, because chance would lead to others.
   */
  private async check(
    causes: readonly Cause[],
    seed: number,
    outcome: Outcome,
    signal: AbortSignal,
  ): Promise<readonly Cause[] | null> {
    const key = JSON.stringify(rulesFor(causes, seed).faults.rules.map(({ match, effects }) => [match, effects]));
    if (this.harmless.has(key)) return null;
    let left: readonly Cause[] | null = this.isReliable ? causes : null;
    for (let i = 0; i < (this.isReliable ? SURE : TRIES); i++) {
      left = await this.attempt(left ?? causes, seed, outcome, signal);
      if ((left === null) === this.isReliable) break;
    }
    if (left === null) this.harmless.add(key);
    return left;
  }

  /** Whether the command fails in the same way each time. */
  private async isSure(causes: readonly Cause[], seed: number, outcome: Outcome): Promise<boolean> {
    const { faults } = rulesFor(causes, seed);
    const other = await this.trials.first(Array(SURE).keys(), async (_, signal) => {
      const again = await this.trials.run(faults, signal);
      return again.status === outcome.status ? null : again;
    });
    return other === null;
  }

  /** The same faults with numbers of frames that people can count, if the command fails with these as well. */
  private async plainer(causes: readonly Cause[], seed: number, outcome: Outcome): Promise<readonly Cause[]> {
    const observation = observationOf(causes, seed);
    if (observation === null) return causes;
    const seen = await this.trials.first(Array(REPEATS).keys(), async (_, signal) => {
      const { status, log } = await this.trials.run(observation.faults, signal);
      return status === outcome.status ? log : null;
    });
    if (seen === null) return causes;
    const plain = observation.plain(seen);
    return (await this.isSure(plain, seed, outcome)) ? plain : causes;
  }

  /** The same faults with a smaller effect in one place. */
  private async smallerAt(
    at: number,
    causes: readonly Cause[],
    seed: number,
    outcome: Outcome,
  ): Promise<readonly Cause[]> {
    const cause = causes[at] as Cause;
    if (cause.kind === 'rule') return causes;
    const withEffect = (effect: Effect): Cause[] => causes.map((each, i) => (i === at ? { ...cause, effect } : each));
    const fails = (effect: Effect): Promise<boolean> => this.isSure(withEffect(effect), seed, outcome);
    let least: Pin['effect'] = cause.effect;
    for (const effect of lesser(least))
      if (await fails(effect)) {
        least = effect;
        break;
      }
    least = (await firstThatFails(smaller(least, cause.fault.frame), fails)) ?? least;
    return least === cause.effect ? causes : withEffect(least);
  }

  /** Runs with what was found and without it, in turn, and records a run that fails. */
  private async confirm(): Promise<Found> {
    const found = this.best as Found;
    const { settings, trials } = this;
    this.doing = 'confirming';
    const start = performance.now();
    let isRecording = false;
    await trials.each(turns(CONFIRMING.runs * 2), async (turn, signal) => {
      if (turn >= CONFIRMING.least * 2 && performance.now() - start > CONFIRMING.ms) return;
      if (turn % 2 === 1) return this.countAlone(await trials.run(null, signal));
      const record = !isRecording && !found.isRecorded;
      isRecording ||= record;
      const outcome = await trials.run(found.faults, signal, record ? settings.recordTo : null);
      found.confirmed.runs++;
      const isSame = outcome.status === found.outcome.status;
      if (isSame) found.confirmed.failed++;
      if (isSame) found.outcome = outcome;
      if (record) isRecording = false;
      found.isRecorded ||= record && isSame;
    });
    return found;
  }
}

/** Seeds, one after the other. */
function* seedsFrom(first: number, count: number): Iterator<number> {
  for (let i = 0; i < count; i++) yield (first + i) % (SEED_MAX + 1);
}

const turns = (count: number): Iterable<number> => Array(count).keys();

/** How a run ended, in words. */
export const endOf = ({ status, ms }: Pick<Outcome, 'status' | 'ms'>): string =>
  status === null ? `no end within ${Math.round(ms / 1000)} s` : `exit code ${status}`;
