// SPDX-License-Identifier: MIT
/** A terminal's screen as a picture: colours, text in its columns, bars, and a session that moves. */
import t from 'tap';

import { elementsOf } from '../helpers/xml';
import { film, type Moment } from '../pictures/film';
import { runsOf } from '../pictures/styled-text';
import { screenPicture, textIn } from '../pictures/terminal';

const picture = (text: string): string => screenPicture({ title: 'a screen', width: 20, text });

t.test('escape sequences become styles, which last until they are changed', async (t) => {
  t.match(runsOf('a\x1b[1;32mb\nc\x1b[0md\x1b[38;2;1;2;3me\x1b[39mf\x1b[7mg'), [
    [
      { column: 0, text: 'a', style: { ink: null, bold: false } },
      { column: 1, text: 'b', style: { ink: 'green', bold: true } },
    ],
    [
      { column: 0, text: 'c', style: { ink: 'green', bold: true } },
      { column: 1, text: 'd', style: { ink: null, bold: false } },
      { column: 2, text: 'e', style: { ink: '#010203' } },
      { column: 3, text: 'f', style: { ink: null } },
      { column: 4, text: 'g', style: { inverse: true } },
    ],
  ]);
  t.match(runsOf('\x1b[38;5;196mx\x1b[48;5;2my\x1b[m')[0], [
    { style: { ink: '#ff0000' } },
    { style: { ink: '#ff0000', paper: 'green' } },
  ]);
  t.match(
    runsOf('\x1b[?25la\x1b(Bb\x1b[2Kc')[0]
      ?.map(({ text }) => text)
      .join(''),
    'abc',
    'others are left out',
  );
});

t.test('text comes out of a picture as it went in', async (t) => {
  const lines = ['a & b  <c>   "d"', '', '   - é →', '1  22'];
  t.same(textIn(picture(lines.join('\n'))), lines);
  t.doesNotThrow(() => elementsOf(picture(lines.join('\n'))), 'and the picture is valid');
});

t.test('bars are drawn: they touch each other in every font', async (t) => {
  const svg = picture('q ██▄░┃ \x1b[32m▁▁█');
  t.same(textIn(svg), ['q'], 'they are not text');
  const paths = elementsOf(svg).filter(({ name }) => name === 'path');
  t.equal(paths.length, 2, 'one path for each colour');
  t.equal(paths[0]?.attributes['d']?.split('M').length, 5, 'two full cells are one rectangle');
  t.match(paths[1]?.attributes['class'], 'green');
});

t.test('text on a colour of its own does not follow the scheme', async (t) => {
  const svg = picture('\x1b[48;2;200;255;200mx');
  t.match(svg, /<rect [^>]*fill="#c8ffc8"\/>/);
  t.match(svg, /<text [^>]*fill="#12151a">x</);
});

const moment = (ms: number, line: number, column: number): Moment => ({ ms, line, column });

t.test('a session: letters are typed, lines appear in time, the screen scrolls', async (t) => {
  const moments = [
    ...[2, 3, 4, 5, 6].map((column, i) => moment(i * 100, 0, column)),
    moment(1000, 2, 0),
    moment(9000, 4, 0),
  ];
  const svg = film({ title: 's', width: 20, height: 3, text: '# ping\none\ntwo\nthree', moments });
  t.doesNotThrow(() => elementsOf(svg));
  t.same(textIn(svg), ['# ping', 'one', 'two', 'three']);
  t.match(svg, /@keyframes c0\{[^}]*steps\(4\)/, 'four letters, one after the other');
  const scroll = /@keyframes scroll\{(.*)\}\n/.exec(svg)?.[1] ?? '';
  t.match(scroll, /^0%\{transform:translateY\(0px\)\}[\d.]+%\{transform:translateY\(-17px\)\}$/, 'by a line, once');
  t.match(
    svg,
    /\.scroll\{transform:translateY\(-17px\);animation:scroll 7280ms/,
    'nobody waits for eight seconds, or for a letter',
  );
  t.match(svg, /prefers-reduced-motion:reduce\)\{\.scroll,\.curtain,\.typed\{animation:none/);
});
