// SPDX-License-Identifier: MIT
/**
 * Runs systems by turns, A B C D, A B C D, each in a fresh namespace every time: what drifts on the
 * machine meets all of them alike. A looping thread has the first CPU in one round, the next in the next.
 */
import { availableParallelism } from 'node:os';

import type { Measure, Values } from './measures/measure';
import type { System } from './systems/system';

export interface Sample {
  measure: string;
  system: string;
  round: number;
  values: Values;
}

export async function interleave(
  systems: readonly System[],
  measures: readonly Measure[],
  rounds: number,
  say: (line: string) => void,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const system of systems) {
      const stage = await system.open(round % availableParallelism());
      for (const measure of measures) {
        const values = await measure.run(stage);
        samples.push({ measure: measure.id, system: system.name, round, values });
        say(`round ${round + 1}/${rounds}  ${system.name.padEnd(12)} ${measure.id.padEnd(14)} ${(values[measure.main] ?? NaN).toPrecision(4)} ${measure.unit}`);
      }
      await stage.close();
    }
  }
  return samples;
}
