// SPDX-License-Identifier: MIT
/**
 * The steps of attach, adoption and detach: run in order, undone in reverse order, and printed by `--dry-run`.
 *
 * Tests inject faults here: VNET_BPF_TEST_KILL_AT=<step> ends the process with SIGKILL once that step has run,
 * VNET_BPF_TEST_FAIL_AT=<step> makes it fail then, and VNET_BPF_TEST_STEPS=1 prints the name of each step that has run.
 */

export interface Step<T = unknown> {
  /** Names the state once it has run. */
  readonly name: string;
  /** Its lines of `--dry-run`; `false` where there is none. Changes nothing. */
  readonly says?: () => readonly (string | false)[];
  readonly run: () => T | Promise<T>;
  /** Undoes it, even if it has failed halfway. */
  readonly undo?: () => unknown;
}

/** Runs a step, and returns its result. */
export async function runStep<T>({ name, run }: Step<T>): Promise<T> {
  const result = await run();
  const { VNET_BPF_TEST_STEPS: print, VNET_BPF_TEST_KILL_AT: killAt, VNET_BPF_TEST_FAIL_AT: failAt } = process.env;
  if (print) process.stderr.write(`step ${name}\n`);
  if (killAt === name) process.kill(process.pid, 'SIGKILL');
  if (failAt === name) throw new Error(`step ${name}: a test asked for this fault`);
  return result;
}

/**
 * Runs steps in order. If one fails, it is undone, then those before it, the last one first. An error of an undo
 * replaces the first one, and does not keep the other steps from being undone.
 */
export async function runSteps([step, ...rest]: readonly Step[]): Promise<void> {
  if (!step) return;
  try {
    await runStep(step);
    await runSteps(rest);
  } catch (error) {
    await step.undo?.();
    throw error;
  }
}

/** The steps in words, a line each. */
export const inWords = (steps: readonly Step[]): string[] =>
  steps.flatMap(({ says }) => says?.() ?? []).filter((line) => line !== false);
