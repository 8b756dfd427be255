// SPDX-License-Identifier: MIT
/** From one failing run to the fewest, plainest and smallest faults with which the command fails in the same way. */
import type { Effect, Faults } from '../faults/rules';
import { type Cause, causesOf, rulesFor, wholeRules } from './causes';
import { ddmin } from './ddmin';
import { observationOf } from './plain';
import { firstThatFails, lesser, smaller } from './smaller';
import type { Outcome } from './trial';
import type { Trials } from './trials';

/** Runs that show whether a failure is repeatable. */
const REPEATS = 3;
/** Runs of a set of faults before it counts as harmless, where a failure does not come each time. */
const TRIES = 4;
/** Runs in which fewer or smaller faults must fail each time. */
const SURE = 3;

/** Says that the command has failed although no fault had happened. */
export class FailedAlone extends Error {
  constructor(readonly outcome: Outcome) {
    super('the command has failed without faults');
  }
}

export class Shrinking {
  /** What is being done, in a few words. */
  doing = 'repeating';
  /** Sets of faults with which the command has not failed, by their rules. */
  private readonly harmless = new Set<string>();
  /** Whether the command fails each time with all the faults of the run. */
  private isReliable = true;

  constructor(
    private readonly trials: Trials,
    /** Those of the failing run, with its seed. */
    private readonly faults: Faults,
    private readonly failure: Outcome,
    /** Called with the causes each time that fewer or smaller ones are found. */
    private readonly found: (causes: readonly Cause[]) => void,
  ) {}

  /** Finds the causes; null if the failure cannot be repeated. Throws FailedAlone. */
  async run(): Promise<readonly Cause[] | null> {
    const { trials, faults, failure, found } = this;
    const repeated = (await this.repeat(causesOf(faults, failure.log))) ?? (await this.repeat(wholeRules(faults)));
    if (repeated === null) return null;
    found(repeated);
    this.doing = 'fewer faults';
    const find = (candidates: Iterable<readonly Cause[]>): Promise<readonly Cause[] | null> =>
      trials.first(candidates, (each, signal) => this.check(each, signal));
    let causes = await ddmin(repeated, find, found);
    this.doing = 'plainer faults';
    found((causes = await this.plainer(causes)));
    this.doing = 'smaller faults';
    for (let i = 0; i < causes.length; i++) found((causes = await this.smallerAt(i, causes)));
    return causes;
  }

  /** Runs with the same faults again; those that happened then, or null if the command did not fail again. */
  private async repeat(causes: readonly Cause[]): Promise<readonly Cause[] | null> {
    let fewest: readonly Cause[] | null = null;
    let failed = 0;
    await this.trials.each(Array(REPEATS).keys(), async (_, signal) => {
      const left = await this.attempt(causes, signal);
      if (left === null) return;
      failed++;
      if (fewest === null || left.length < fewest.length) fewest = left;
    });
    this.isReliable = failed === REPEATS;
    return fewest;
  }

  /** Runs with faults; those that happened, or null if the command did not fail in the same way. */
  private async attempt(causes: readonly Cause[], signal: AbortSignal): Promise<readonly Cause[] | null> {
    const { faults, happened } = rulesFor(causes, this.faults.seed);
    const again = await this.trials.run(faults, signal);
    if (again.status !== this.failure.status) return null;
    const left = happened(again.log);
    if (left.length === 0) throw new FailedAlone(again);
    return left;
  }

  /**
   * Whether the command fails in the same way with fewer faults: those that happened, or null. Where it failed each time
   * with all of them it must do so with fewer, too, because chance would lead to others.
   */
  private async check(causes: readonly Cause[], signal: AbortSignal): Promise<readonly Cause[] | null> {
    const key = JSON.stringify(
      rulesFor(causes, this.faults.seed).faults.rules.map(({ match, effects }) => [match, effects]),
    );
    if (this.harmless.has(key)) return null;
    let left: readonly Cause[] | null = this.isReliable ? causes : null;
    for (let i = 0; i < (this.isReliable ? SURE : TRIES); i++) {
      left = await this.attempt(left ?? causes, signal);
      if ((left === null) === this.isReliable) break;
    }
    if (left === null) this.harmless.add(key);
    return left;
  }

  /** Whether the command fails in the same way each time. */
  private async isSure(causes: readonly Cause[]): Promise<boolean> {
    const { faults } = rulesFor(causes, this.faults.seed);
    const other = await this.trials.first(Array(SURE).keys(), async (_, signal) => {
      const again = await this.trials.run(faults, signal);
      return again.status === this.failure.status ? null : again;
    });
    return other === null;
  }

  /** The same faults with numbers of frames that people can count, if the command fails with these as well. */
  private async plainer(causes: readonly Cause[]): Promise<readonly Cause[]> {
    const observation = observationOf(causes, this.faults.seed);
    if (observation === null) return causes;
    const seen = await this.trials.first(Array(REPEATS).keys(), async (_, signal) => {
      const { status, log } = await this.trials.run(observation.faults, signal);
      return status === this.failure.status ? log : null;
    });
    if (seen === null) return causes;
    const plain = observation.plain(seen);
    return (await this.isSure(plain)) ? plain : causes;
  }

  /** The same faults with a smaller effect in one place. */
  private async smallerAt(at: number, causes: readonly Cause[]): Promise<readonly Cause[]> {
    const cause = causes[at] as Cause;
    if (cause.kind === 'rule') return causes;
    const withEffect = (effect: Effect): Cause[] => causes.map((each, i) => (i === at ? { ...cause, effect } : each));
    const fails = (effect: Effect): Promise<boolean> => this.isSure(withEffect(effect));
    let least = cause.effect;
    for (const effect of lesser(least))
      if (await fails(effect)) {
        least = effect;
        break;
      }
    least = (await firstThatFails(smaller(least, cause.fault.frame), fails)) ?? least;
    return least === cause.effect ? causes : withEffect(least);
  }
}
