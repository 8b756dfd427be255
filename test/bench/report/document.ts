// SPDX-License-Identifier: MIT
/**
 * Inserts the generated parts into docs/benchmarks.md, each between `<!-- bench ID -->` and `<!-- end -->`. The text
 * around them is written by hand and stays.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Sample, Section } from '../measures/measure';
import { headline } from './headline';
import type { Machine } from './machine';
import { machineText } from './machine';
import { svg } from './plot';
import { summary } from './statistics';
import { distinct, sectionTable, valuesOf } from './table';
import { verdict } from './verdict';

export interface Results {
  machine: Machine;
  samples: Sample[];
}

/** Replaces the given parts; throws if the text has no place for one of them. */
export function fillIn(text: string, parts: ReadonlyMap<string, string>): string {
  let filled = text;
  for (const [id, part] of parts) {
    const place = new RegExp(`(<!-- bench ${id} -->\\n)[^]*?(<!-- end -->)`);
    if (!place.test(filled)) throw new Error(`there is no place for "${id}": <!-- bench ${id} --> ... <!-- end -->`);
    filled = filled.replace(place, (_, start: string, end: string) => `${start}${part}\n${end}`);
  }
  return filled;
}

function plotOf(section: Section, all: readonly Sample[]): string {
  const samples = all.filter((sample) => sample.section === section.id);
  const { title, value } = section;
  const bar = (load: string, system: string) => {
    const values = valuesOf(samples, load, system, value);
    return values.length > 0 ? summary(values) : null;
  };
  const series = distinct(samples, 'system');
  const groups = distinct(samples, 'load');
  // With one load and many variants, each variant gets a bar with its name below.
  if (groups.length === 1)
    return svg({
      title,
      unit: value.heading,
      groups: series,
      series: groups,
      bar: (system, load) => bar(load, system),
    });
  return svg({ title, unit: value.heading, groups, series, bar });
}

/** One sample per line, with six digits: for programs to read and for people to compare. */
function json({ machine, samples }: Results): string {
  const round = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value;
  return `{"machine":${JSON.stringify(machine)},\n"samples":[\n${samples.map((sample) => JSON.stringify(sample, round)).join(',\n')}\n]}\n`;
}

/** Writes benchmarks.json, the plots and, from the text at `template`, benchmarks.md. */
export function writeResults(
  directory: string,
  template: string,
  sections: readonly Section[],
  results: Results,
): void {
  const { machine, samples } = results;
  const measured = sections.filter(({ id }) => samples.some(({ section }) => section === id));
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, 'benchmarks.json'), json(results));
  for (const section of measured.filter(({ plot }) => plot))
    fs.writeFileSync(path.join(directory, `benchmarks-${section.id}.svg`), plotOf(section, samples));
  const parts = new Map([
    ['machine', machineText(machine)],
    ['headline', headline(samples)],
    ['verdict', verdict(samples)],
    ...measured.map((section) => [section.id, sectionTable(section, samples)] as const),
  ]);
  fs.writeFileSync(path.join(directory, 'benchmarks.md'), fillIn(fs.readFileSync(template, 'utf8'), parts));
}
