// SPDX-License-Identifier: MIT
import t from 'tap';

import { roundUp, svg, type Plot } from './plot';

const bars: Record<string, number> = { 'x one': 50, 'x two': 100, 'y one': 25 };
const plot: Plot = {
  title: 'A < B & "C"',
  unit: 'things',
  groups: ['x', 'y'],
  series: ['one', 'two'],
  bar: (group, series) => {
    const median = bars[`${group} ${series}`];
    return median === undefined ? null : { median, min: median * 0.9, max: median };
  },
};

const heights = (text: string): number[] =>
  [...text.matchAll(/<rect x="[\d.]+" y="[\d.]+" width="\d+" height="([\d.]+)" fill="#[^f]/g)]
    .map((match) => Number(match[1]))
    .filter((h) => h > 10);

t.test('the axis ends at a round number', async (t) => {
  t.same([0.3, 1, 7, 12, 240, 260].map(roundUp), [0.5, 1, 10, 20, 250, 500]);
});

t.test('bars are as high as their medians, and what was not measured has none', async (t) => {
  const [first, second, third, ...more] = heights(svg(plot)) as [number, number, number];
  t.same(more, []);
  t.ok(Math.abs(first / second - 0.5) < 0.01, `${first} is half of ${second}`);
  t.ok(Math.abs(third / second - 0.25) < 0.01, `${third} is a quarter of ${second}`);
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
