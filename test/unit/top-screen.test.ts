// SPDX-License-Identifier: MIT
/** What `top` shows, without a terminal: orders, keys, numbers, the screen, plain lines. */
import t from 'tap';

import {
  ASCII,
  bar,
  bitRate,
  BLOCKS,
  chart,
  clip,
  fitted,
  packetRate,
  part,
  queueStrip,
  roundScale,
  short,
  textOf,
  widthOf,
} from '../../src/top/drawing';
import { newest, Readings, type Row, sorted } from '../../src/top/readings';
import { FIRST_VIEW, press, type Scene, screen, usableSize, type View } from '../../src/top/screen';
import { plainLines } from '../../src/top/table';
import { look, rowsOfThree, rowWithHistory } from '../helpers/top-rows';

t.test('orders', async (t) => {
  const by = (order: Parameters<typeof sorted>[1]): string[] => sorted(rowsOfThree(), order).map(({ id }) => id);
  t.same(by('name'), ['vnet1', 'vnet2', 'vnet10'], 'as people count');
  t.same(by('tx'), ['vnet2', 'vnet1', 'vnet10']);
  t.same(by('rx'), ['vnet10', 'vnet1', 'vnet2']);
  t.same(by('queue'), ['vnet10', 'vnet1', 'vnet2']);
  t.same(by('drops'), ['vnet1', 'vnet2', 'vnet10']);
});

t.test('keys', async (t) => {
  const after = (...keys: string[]): View | 'quit' =>
    keys.reduce<View | 'quit'>((view, key) => (view === 'quit' ? view : press(view, key, ['a', 'b', 'c'])), FIRST_VIEW);
  for (const key of ['q', 'CTRL_C']) t.equal(after(key), 'quit');
  t.match(after('s'), { order: 'tx' });
  t.match(after('s', 's', 's', 's', 's'), { order: 'name' }, 'all orders in turn');
  t.match(after('p'), { paused: true });
  t.match(after(' ', 'p'), { paused: false });
  t.match(after('DOWN', 'DOWN', 'DOWN', 'DOWN'), { chosen: 'c' }, 'it stays at the last');
  t.match(after('DOWN', 'UP', 'UP'), { chosen: 'a' });
  t.match(after('DOWN', 'ENTER'), { chosen: 'b', detail: true });
  t.match(after('ENTER'), { chosen: 'a', detail: true }, 'the first, if none is chosen');
  t.match(after('ENTER', 'ENTER'), { detail: false });
  t.match(after('ENTER', 'ESCAPE'), { detail: false });
  t.same(after('z', 'RESIZE'), FIRST_VIEW, 'others do nothing');
  t.match(press(FIRST_VIEW, 'DOWN', []), { chosen: null }, 'nothing to choose from');
});

t.test('numbers', async (t) => {
  t.same([0, 0.5, 1, 9.96, 999, 999.6, 1234, 99_940, 99_960, 999_400, 999_600, 2.5e9].map(short), [
    '0',
    '0.5',
    '1',
    '10',
    '999',
    '1.0k',
    '1.2k',
    '99.9k',
    '100k',
    '999k',
    '1.0M',
    '2.5G',
  ]);
  t.equal(packetRate(undefined), '- packets/s');
  t.same([0, 1500, 2e9].map(bitRate), ['0 bit/s', '1.5 kbit/s', '2.0 Gbit/s']);
  t.equal(textOf(clip([part('abc'), part('def')], 4)), 'abcd');
});

t.test('texts take cells, not characters', async (t) => {
  t.same(['abc', '网卡', 'e\u0301', '🦀x', '▁█'].map(widthOf), [3, 4, 1, 3, 2]);
  t.equal(fitted('abcdef', 4), 'abc~');
  t.equal(fitted('网卡口', 5), '网卡~');
  t.equal(fitted('网卡口', 4), '网~ ', 'never half a character, always the width asked for');
  t.equal(fitted('ab', 4), 'ab  ');
  t.equal(fitted('ab', 0), '');
  t.equal(textOf(clip([part('网卡'), part('x')], 3)), '网', 'what follows a character that does not fit is cut, too');
});

t.test('charts', async (t) => {
  const drawn = (values: (number | null)[], rows: number, glyphs = BLOCKS): string[] =>
    chart(values, 8, rows, 'tx', glyphs).map(textOf);
  t.same(drawn([null, 0, 0.01, 3, 4, 8], 1), [' ▁▂▃▄█'], 'nothing known, nothing, more than nothing');
  t.same(drawn([null, 0, 0.01, 4, 6, 8], 2), ['    ▄█', ' ▁▂███']);
  t.same(drawn([null, 0, 0.01, 4, 8], 1, ASCII), [' _:=#']);
  const barOf = (fill: number, mark: number, width: number, glyphs = ASCII): string =>
    textOf(bar(fill, mark, width, 'good', glyphs));
  t.equal(barOf(0, 0.5, 12), '[.....|....]');
  t.equal(barOf(0.001, 0.5, 12), '[#....|....]', 'not empty');
  t.equal(barOf(0.999, 0.5, 12), '[#####|###.]', 'not full');
  t.equal(barOf(1, 0.5, 12), '[#####|####]');
  t.equal(barOf(1, 1, 6), '[###|]');
  t.equal(barOf(0.25, 0.5, 10, BLOCKS), '██▌░░┃░░░░', 'parts of a cell');
  t.same(
    [0, 1, 2, 3, 20].map((width) => barOf(0.5, 0.5, width).length),
    [0, 1, 2, 3, 20],
    'as wide as it is asked for',
  );
  t.same(
    [0, 0.3, 1, 11.7e6, 12.2e6, 21e6, 99e6, 1e9].map(roundScale),
    [1, 1, 1, 15e6, 15e6, 30e6, 100e6, 1e9],
    'a scale that stays',
  );
  const { history } = rowWithHistory('a', 7);
  t.equal(textOf(queueStrip(newest(history, 9), BLOCKS)), '  ██▄██▄█');
  t.equal(textOf(queueStrip(newest(history, 4), ASCII)), '##+#', 'the newest side is whole');
});

const sceneOf = (rows: readonly Row[], view: Partial<View> = {}, more: Partial<Scene> = {}): Scene => ({
  rows,
  view: { ...FIRST_VIEW, ...view },
  seconds: 1,
  news: null,
  time: new Date(0),
  glyphs: BLOCKS,
  ...more,
});
const shown = (scene: Scene, width: number, height: number): string[] => screen(scene, { width, height }).map(textOf);

t.test('the screen fits, whatever its size', async (t) => {
  const many = Array.from({ length: 20 }, (_, i) =>
    rowWithHistory(`vnet${i}`, 5, (s) => (s.netns = i % 2 ? null : '网络-with-a-name-that-has-no-end-and-goes-on')),
  );
  for (const [width, height] of [
    [140, 40],
    [80, 24],
    [60, 15],
    [40, 10],
    [200, 60],
    [80, 1],
    [1, 1],
    [3, 7],
    [30, 200],
  ] as const) {
    for (const rows of [[], rowsOfThree().slice(0, 1), rowsOfThree(), many.slice(0, 6), many]) {
      for (const view of [{}, { detail: true }, { chosen: 'vnet10' }]) {
        for (const glyphs of [BLOCKS, ASCII]) {
          const lines = shown(sceneOf(rows, view, { glyphs, news: { name: 'vnet9', what: 'came' } }), width, height);
          if (lines.length === height && lines.every((line) => widthOf(line) <= width)) continue;
          t.fail(`${width}x${height}, ${rows.length} interfaces, ${JSON.stringify(view)}`, { lines });
        }
      }
    }
  }
  t.equal(shown(sceneOf(many), 1000, 500).length, 500);
  t.same(usableSize(0, 0), { width: 80, height: 24 }, 'a terminal without a size');
  t.same(usableSize(undefined, 10), { width: 80, height: 10 });
  t.same(usableSize(65535, 65535), { width: 1000, height: 500 }, 'one that cannot be');
});

t.test('at each size: summaries while all fit, else a line each and the summary of the chosen one', async (t) => {
  const rows = (count: number): Row[] =>
    Array.from({ length: count }, (_, i) => rowWithHistory(`vnet${i}`, 110, (s) => (s.netns = null)));
  const layout = (
    count: number,
    width: number,
    height: number,
  ): { summaries: number; lines: number; chartRows: number } => {
    const lines = shown(sceneOf(rows(count)), width, height);
    const starts = lines.flatMap((line, i) => (/^ {2}tx /.test(line) ? [i] : []));
    return {
      summaries: starts.length,
      lines: lines.filter((line) => /^[> ] vnet\d+ +(running|stopped)/.test(line)).length - starts.length,
      chartRows: lines.findIndex((line) => /^ {2}rx /.test(line)) - (starts[0] ?? 0),
    };
  };
  t.same(layout(1, 40, 10), { summaries: 1, lines: 0, chartRows: 2 });
  t.same(layout(1, 80, 24), { summaries: 1, lines: 0, chartRows: 9 });
  t.same(layout(2, 60, 15), { summaries: 2, lines: 0, chartRows: 1 });
  t.same(layout(3, 80, 24), { summaries: 3, lines: 0, chartRows: 1 });
  t.same(layout(1, 140, 40), { summaries: 1, lines: 0, chartRows: 12 });
  t.same(layout(6, 60, 15), { summaries: 1, lines: 6, chartRows: 1 });
  t.same(layout(6, 80, 24), { summaries: 1, lines: 6, chartRows: 5 });
  t.same(layout(20, 140, 40), { summaries: 1, lines: 20, chartRows: 6 });
  t.match(layout(20, 80, 24), { summaries: 0, lines: 20 });
  t.match(layout(20, 60, 15), { summaries: 0, lines: 11 });
  t.match(layout(20, 40, 10), { summaries: 0, lines: 6 });
});

t.test('charts reach the edge, and their newest side is never cut', async (t) => {
  const row = rowWithHistory('vnet0', 300);
  for (const [width, height] of [
    [140, 40],
    [80, 24],
    [60, 15],
    [40, 10],
  ] as const) {
    const lines = shown(sceneOf([row]), width, height);
    for (const label of ['tx', 'rx', 'queue', 'stops']) {
      const found = lines.findIndex((line) => line.startsWith(`  ${label} `));
      const bottom =
        label === 'tx'
          ? lines.findIndex((line) => line.startsWith('  rx ')) - 1
          : label === 'rx'
            ? lines.findIndex((line) => line.startsWith('  queue ')) - 1
            : found;
      t.equal(widthOf(lines[bottom]?.trimEnd() ?? ''), width, `${width}x${height}: ${label}`);
    }
    const strip = lines.find((line) => line.startsWith('  stops')) ?? '';
    t.ok(strip.endsWith('▄██▄'), `${width}x${height}: the newest state of the queue is on the right`);
    t.notMatch(lines.join('\n'), /[▁-█] +$/m);
  }
});

t.test('what is on it', async (t) => {
  const full = shown(sceneOf(rowsOfThree()), 80, 24).join('\n');
  t.match(full, /> vnet1 in lab +running[^]* vnet2 in lab +running[^]* vnet10 in lab +stopped/);
  t.match(full, 'drops down 3/s');
  t.match(full, /queue +90 % of 1000 B █+┃█+[▉-▏]?░+$/m);
  const small = shown(sceneOf(rowsOfThree(), { chosen: 'vnet10' }), 80, 5).join('\n');
  t.match(small, '> vnet10 in lab', 'the chosen one is seen');
  t.match(small, '2 more above, 0 more below');
  t.match(shown(sceneOf(rowsOfThree(), { paused: true }), 80, 24)[0], /PAUSED \d\d:\d\d:\d\d$/);
  const told = shown(sceneOf(rowsOfThree(), {}, { news: { name: 'vnet9', what: 'went' } }), 40, 24).at(-1);
  t.match(told, /^q quit {2}↑↓ choose.* vnet9 went$/, 'whole keys, beside what is told');
  t.match(shown(sceneOf([]), 80, 24).join(), 'nothing is attached');
  const crashed = rowWithHistory('vnet0', 3, (s) => (s.state = 'crashed'));
  t.match(
    shown(sceneOf(Array.from({ length: 9 }, () => crashed)), 40, 24).join('\n'),
    / crashed /,
    'a state is never left out',
  );
  const whole = shown(sceneOf(rowsOfThree(), { detail: true }), 80, 24).join('\n');
  t.match(whole, /> vnet1 in lab[^]*frames +\d+ in +\d+ out[^]*drops +\w+ +\d+ +\S+\/s[^]*enter back/);
  t.match(shown(sceneOf(rowsOfThree(), { detail: true }), 40, 10).join('\n'), /^ {2}\d+ more lines do not fit$/m);
});

t.test('without block characters it is ASCII', async (t) => {
  for (const view of [{}, { detail: true }]) {
    for (const [width, height] of [
      [80, 24],
      [40, 10],
    ] as const) {
      const text = shown(sceneOf(rowsOfThree(), view, { glyphs: ASCII }), width, height).join('\n');
      t.match(text, /^[\n\x20-\x7e]+$/);
    }
  }
});

t.test('plain lines', async (t) => {
  const [, second = ''] = plainLines(rowsOfThree(), []);
  t.equal(plainLines(rowsOfThree(), []).length, 3);
  t.match(
    second,
    /^vnet2 in lab: running, tx 5 packets\/s 0 bit\/s, rx 0 packets\/s 0 bit\/s, queue 0 %, held \d+, 0 stops\/s, /,
  );
  t.same(plainLines([], [{ name: 'vnet0', what: 'went' }]), ['vnet0: went']);
  t.same(plainLines(new Readings().update([look('a')], 0).rows, []), [], 'nothing to say after one look');
});
