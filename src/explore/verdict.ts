// SPDX-License-Identifier: MIT
/** What exploring has found out. */
import type { Faults } from '../faults/rules';
import type { Cause } from './causes';
import type { Outcome } from './trial';

/** In how many runs of how many the command failed. */
export interface Tally {
  failed: number;
  runs: number;
}

/** Faults that make the command fail. */
export interface Found {
  causes: readonly Cause[];
  /** Rules that make just these happen. */
  faults: Faults;
  /** The seed with which the failure was found. */
  seed: number;
  /** A run that failed. */
  outcome: Outcome;
  /** Runs with these faults, after they had been found. */
  confirmed: Tally;
  /** Whether nothing was left to be made smaller. */
  isSmallest: boolean;
  /** Whether a failing run was recorded; if it could not be, why. */
  isRecorded: boolean;
  unrecorded: string | null;
}

export type Verdict =
  | { kind: 'nothing'; alone: Tally; runs: number }
  /**
   * The command fails by itself. `once`: a failure that came with faults, and was not repeatable. `found`: what made it
   * fail, if that was found before.
   */
  | { kind: 'flaky'; alone: Tally; runs: number; once: Outcome | null; found: Found | null }
  | { kind: 'found'; alone: Tally; runs: number; found: Found }
  /** Ended by a signal before anything was found. */
  | { kind: 'stopped'; alone: Tally; runs: number };
