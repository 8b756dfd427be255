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
import { machineNote, machineText } from './machine';
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

/** The names of the systems for someone who has only the plot. */
const PLOT_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^ours(?=$|,)/, 'vnet-bpf'],
  [/, gro off$/, ', --gro off'],
  [/, 2 queues$/, ', --queues 2'],
  [/, busy poll 0$/, ', --busy-poll 0'],
  [/, busy poll$/, ', --busy-poll 100'],
  [/^twin$/, 'the same poller in C'],
  [/^tap$/, 'TAP, echo in C'],
  [/^redirect$/, 'redirect in the kernel'],
];

const nameOf = (system: string): string =>
  PLOT_NAMES.reduce((name, [what, instead]) => name.replace(what, instead), system);

function plotOf(section: Section, { samples: all, machine }: Results): string {
  const samples = all.filter((sample) => sample.section === section.id);
  const { title, value, plot } = section;
  const barOf = (load: string, system: string) => {
    const values = valuesOf(samples, load, system, value);
    return values.length > 0 ? summary(values) : null;
  };
  const series = distinct(samples, 'system');
  const groups = distinct(samples, 'load');
  const { digits } = value;
  return svg({
    // With one load and many variants of the product, the load is not named beside the bars.
    title: groups.length === 1 ? `${title}, ${groups[0]}` : title,
    unit: `${value.heading}, ${plot || ''}`,
    note: machineNote(machine),
    groups,
    series,
    ...(digits === undefined ? {} : { digits }),
    isOurs: (system) => groups.length === 1 || system.startsWith('ours'),
    nameOf,
    bar: barOf,
  });
}

/** The plots of a run, by the names of their files. */
export function plotsOf(sections: readonly Section[], results: Results): Map<string, string> {
  const plotted = sections.filter(({ id, plot }) => plot && results.samples.some(({ section }) => section === id));
  return new Map(plotted.map((section) => [`benchmarks-${section.id}.svg`, plotOf(section, results)]));
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
  for (const [name, text] of plotsOf(sections, results)) fs.writeFileSync(path.join(directory, name), text);
  const parts = new Map([
    ['machine', machineText(machine)],
    ['headline', headline(samples)],
    ['verdict', verdict(samples)],
    ...measured.map((section) => [section.id, sectionTable(section, samples)] as const),
  ]);
  fs.writeFileSync(path.join(directory, 'benchmarks.md'), fillIn(fs.readFileSync(template, 'utf8'), parts));
}
