// SPDX-License-Identifier: MIT
/** Rounds: whatever drifts on the machine has to meet everything that is compared. */
import { availableParallelism } from 'node:os';

import type { Measure, Sample, Section, Values } from './measures/measure';
import type { System } from './systems/system';

export type Say = (sample: Sample) => void;

/**
 * Runs systems by turns, A B C D, A B C D, each in a fresh namespace every time. A looping thread has
 * the first CPU in one round, the next in the next.
 */
export async function interleave(systems: readonly System[], measures: readonly Measure[], rounds: number, say: Say): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const system of systems) {
      const stage = await system.open(round % availableParallelism());
      for (const { section, load, run } of measures) {
        const sample = { section: section.id, load, system: system.name, round, values: await run(stage) };
        samples.push(sample);
        say(sample);
      }
      await stage.close();
    }
  }
  return samples;
}

/** One thing that sets up by itself what it measures. */
export interface Trial {
  system: string;
  load: string;
  once(): Values | Promise<Values>;
}

/** Runs trials by turns. */
export async function takeTurns(section: Section, trials: readonly Trial[], rounds: number, say: Say): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { system, load, once } of trials) {
      const sample = { section: section.id, load, system, round, values: await once() };
      samples.push(sample);
      say(sample);
    }
  }
  return samples;
}
