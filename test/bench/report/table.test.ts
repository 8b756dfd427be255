// SPDX-License-Identifier: MIT
import t from 'tap';

import type { Sample, Section } from '../measures/measure';
import { format, markdown, sectionTable } from './table';

t.test('numbers have as many digits as they are worth', async (t) => {
  t.equal(format(194_512, 4), '194,500');
  t.equal(format(1_234_567, 3), '1,230,000');
  t.equal(format(9.98765, 3), '9.99');
  t.equal(format(999.96, 4), '1,000');
  t.equal(format(0.01234, 2), '0.012');
  t.equal(format(0), '0');
  t.equal(format(NaN), '-');
});

t.test('columns line up', async (t) => {
  const lines = markdown([['a', 'long heading'], ['longer cell', 'b'], ['c']]).split('\n');
  t.equal(new Set(lines.map((line) => line.length)).size, 1, lines.join('\n'));
  t.match(lines[1], /^\| -+ \| -+ \|$/);
});

const section: Section = {
  id: 's',
  title: '',
  value: { key: 'v', heading: 'value' },
  more: [{ key: 'm', heading: 'more' }],
  baseline: 'b',
  plot: false,
};
const sample = (system: string, round: number, v: number, m = 0): Sample => ({
  section: 's',
  load: 'l',
  system,
  round,
  values: { v, m },
});

t.test('a section: medians, spread, ratio of medians, other columns', async (t) => {
  const samples = [
    sample('a', 0, 1),
    sample('b', 0, 4, 7),
    sample('a', 1, 3),
    sample('b', 1, 4, 9),
    sample('a', 2, 2),
    { ...sample('a', 0, 99), section: 'other' },
  ];
  const cells = sectionTable(section, samples)
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  t.same(cells[0], ['', '', 'value', 'lowest to highest', '/ b', 'more']);
  t.same(cells[2], ['l', 'a', '2', '1 to 3', '0.5', '0']);
  t.same(cells[3], ['', 'b', '4', '4 to 4', '1', '8']);
  t.equal(cells.length, 4, 'what belongs to another section is left out');
});

t.test('without the baseline there is no ratio, and one run has no spread', async (t) => {
  const table = sectionTable(section, [sample('a', 0, 5)]);
  t.notMatch(table, '/ b');
  t.match(table, 'one run');
});
