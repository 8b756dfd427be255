// SPDX-License-Identifier: MIT
/** Tables of medians, in Markdown that is readable as it is. */
import type { Column, Sample, Section } from '../measures/measure';
import { median, summary } from './statistics';

const group = (digits: string): string => digits.replace(/\B(?=(\d{3})+$)/g, ',');

/** A number with `digits` significant digits, without an exponent, thousands apart. */
export function format(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '-';
  const rounded = Number(value.toPrecision(digits));
  const [whole = '', part] = rounded.toString().includes('e')
    ? [rounded.toFixed(digits)]
    : rounded.toString().split('.');
  return part === undefined ? group(whole) : `${group(whole)}.${part}`;
}

/** Rows of a table; the first is its heading. Cells are padded so that the source lines up, too. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`;
  const [heading = [], ...body] = rows;
  return [line(heading), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** What differs, in the order in which it first appears. */
export const distinct = (samples: readonly Sample[], key: 'load' | 'system'): string[] => [
  ...new Set(samples.map((sample) => sample[key])),
];

export const valuesOf = (
  samples: readonly Sample[],
  load: string,
  system: string,
  { key }: Pick<Column, 'key'>,
): number[] =>
  samples.filter((sample) => sample.load === load && sample.system === system).map(({ values }) => values[key] ?? NaN);

/** The table of a section: for each load, each system with median, spread, ratio to the baseline and the rest. */
export function sectionTable(section: Section, all: readonly Sample[]): string {
  const samples = all.filter((sample) => sample.section === section.id);
  const { value, more, baseline } = section;
  const ratio = baseline !== null && samples.some(({ system }) => system === baseline);
  const rows = [
    [
      '',
      '',
      value.heading,
      'lowest to highest',
      ...(ratio ? [`/ ${baseline}`] : []),
      ...more.map(({ heading }) => heading),
    ],
  ];
  for (const load of distinct(samples, 'load')) {
    const base = ratio ? median(valuesOf(samples, load, baseline, value)) : NaN;
    for (const [index, system] of distinct(
      samples.filter((sample) => sample.load === load),
      'system',
    ).entries()) {
      const { median: middle, min, max, rounds } = summary(valuesOf(samples, load, system, value));
      rows.push([
        index === 0 ? load : '',
        system,
        format(middle, value.digits),
        rounds > 1 ? `${format(min, value.digits)} to ${format(max, value.digits)}` : 'one run',
        ...(ratio ? [format(middle / base, 3)] : []),
        ...more.map((column) => format(median(valuesOf(samples, load, system, column)), column.digits)),
      ]);
    }
  }
  return markdown(rows);
}
