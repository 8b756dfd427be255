// SPDX-License-Identifier: MIT
/**
 * What a test says of a model: that it holds, and how many states that were, or that a mutant of it is caught, and how.
 */
import { explore, type Model } from './checker';

/** What this needs of a tap test. */
interface Test {
  equal(found: unknown, wanted: unknown, message: string): boolean;
  comment(...lines: unknown[]): void;
}

/** Every run of the model comes to rest and keeps the properties. */
export function holds(t: Test, model: Model, what: string): void {
  const { states, steps, failure } = explore(model);
  t.comment(`${what}: ${states} states, ${steps} steps`);
  if (failure) for (const line of failure.trace) t.comment(line);
  t.equal(failure?.property ?? null, null, `${what}: all ${states} states`);
}

/** Some run of the mutant breaks the property. */
export function isCaught(t: Test, mutant: Model, what: string, property: string): void {
  const { states, failure } = explore(mutant);
  t.comment(`${what}: after ${states} states, not kept: ${failure?.property ?? 'none'}`);
  for (const line of failure?.trace ?? []) t.comment(`  ${line}`);
  t.equal(failure?.property, property, `${what}: ${failure?.trace.length ?? 0} steps lead there`);
}
