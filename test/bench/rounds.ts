// SPDX-License-Identifier: MIT
/** Rounds: whatever drifts on the machine has to meet everything that is compared. */
import { availableParallelism } from 'node:os';

import type { Measure, Sample, Section, Values } from './measures/measure';
import { flood } from './measures/udp';
import type { Stage, System } from './systems/system';

export type Say = (sample: Sample) => void;

const WARM_UP = { bytes: 512, flows: 1, seconds: 0.3 };

/** Sets up all systems, each in a fresh namespace. */
export async function openAll(systems: readonly System[], cpu: number): Promise<(readonly [System, Stage])[]> {
  const stages: (readonly [System, Stage])[] = [];
  for (const system of systems) stages.push([system, await system.open(cpu)]);
  return stages;
}

export async function closeAll(stages: readonly (readonly [System, Stage])[]): Promise<void> {
  for (const [, stage] of stages) await stage.close();
}

/** Where looping threads are bound in each half of the rounds: to the first CPU, then to the last. */
export const cpusOf = (rounds: number): number[] => (rounds === 1 ? [0] : [0, availableParallelism() - 1]);

/**
 * Runs systems by turns, A B C D, A B C D, for each measure. Each is set up anew for every half of the
 * rounds, and a first flood is not counted; looping threads have the first CPU in one half and the last
 * in the other.
 */
export async function interleave(
  systems: readonly System[],
  measures: readonly Measure[],
  rounds: number,
  say: Say,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const cpus = cpusOf(rounds);
  for (const [half, cpu] of cpus.entries()) {
    const stages = await openAll(systems, cpu);
    for (const [, stage] of stages) await flood(stage, WARM_UP);
    for (let round = half; round < rounds; round += cpus.length) {
      for (const { section, load, run } of measures) {
        for (const [system, stage] of stages) {
          const sample = { section: section.id, load, system: system.name, round, values: await run(stage) };
          samples.push(sample);
          say(sample);
        }
      }
    }
    await closeAll(stages);
  }
  return samples;
}

/** Measures all systems at the same time, for measures that take long and do not disturb each other. */
export async function together(
  systems: readonly System[],
  { section, load, run }: Measure,
  say: Say,
): Promise<Sample[]> {
  const stages = await openAll(systems, 0);
  const samples = await Promise.all(
    stages.map(async ([system, stage]) => ({
      section: section.id,
      load,
      system: system.name,
      round: 0,
      values: await run(stage),
    })),
  );
  samples.forEach(say);
  await closeAll(stages);
  return samples;
}

/** One thing that sets up by itself what it measures. */
export interface Trial {
  system: string;
  load: string;
  once(): Values | Promise<Values>;
}

/** Runs trials by turns. */
export async function takeTurns(
  section: Section,
  trials: readonly Trial[],
  rounds: number,
  say: Say,
): Promise<Sample[]> {
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
