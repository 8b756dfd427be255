// SPDX-License-Identifier: MIT
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { SECTIONS } from '../plan';
import { ROOT } from '../../helpers/cli';
import { plotsOf, type Results } from './document';
import { svg, type Plot } from './plot';

const bars: Record<string, number> = { 'x one': 50, 'x two': 100, 'y one': 25 };
const plot: Plot = {
  title: 'A < B & "C"',
  unit: 'things, more is better',
  note: 'on a machine',
  groups: ['x', 'y'],
  series: ['one', 'two'],
  isOurs: (series) => series === 'one',
  nameOf: (series) => `system ${series}`,
  bar: (group, series) => {
    const median = bars[`${group} ${series}`];
    return median === undefined ? null : { median, min: median * 0.9, max: median };
  },
};

const widths = (text: string, kind: string): number[] =>
  [...text.matchAll(new RegExp(`<rect class="${kind}" [^>]*width="([\\d.]+)"`, 'g'))].map((match) => Number(match[1]));

t.test('bars are as long as their medians, and what was not measured has none', async (t) => {
  const [first, third, ...more] = widths(svg(plot), 'ours') as [number, number];
  const [second, ...others] = widths(svg(plot), 'other') as [number];
  t.same([...more, ...others], []);
  t.ok(Math.abs(first / second - 0.5) < 0.01, `${first} is half of ${second}`);
  t.ok(Math.abs(third / second - 0.25) < 0.01, `${third} is a quarter of ${second}`);
});

t.test('it stands alone: names, numbers, the unit, which end is better, the machine', async (t) => {
  const text = svg(plot);
  for (const words of ['>system one<', '>system two<', '>50<', '>100<', 'things, more is better', 'on a machine'])
    t.match(text, words);
});

t.test('text is escaped, tags are closed', async (t) => {
  const text = svg(plot);
  t.notMatch(text, 'A < B');
  t.match(text, 'A &#60; B &#38; &#34;C&#34;');
  for (const tag of ['svg', 'text']) t.equal(text.split(`<${tag} `).length, text.split(`</${tag}>`).length, tag);
});

t.test('nothing measured is drawn all the same', async (t) => {
  t.notMatch(svg({ ...plot, bar: () => null }), /NaN|Infinity/);
});

t.test('the plots in docs are those of docs/benchmarks.json', async (t) => {
  const read = (name: string): string => fs.readFileSync(path.join(ROOT, 'docs', name), 'utf8');
  const plots = plotsOf(SECTIONS, JSON.parse(read('benchmarks.json')) as Results);
  t.same(
    [...plots.keys()],
    fs
      .readdirSync(path.join(ROOT, 'docs'))
      .filter((name) => /^benchmarks-.*\.svg$/.test(name))
      .sort((a, b) => [...plots.keys()].indexOf(a) - [...plots.keys()].indexOf(b)),
    'no more and no less',
  );
  for (const [name, text] of plots) t.equal(read(name), text, `${name}; make pictures draws it anew`);
});
