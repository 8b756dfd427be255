// SPDX-License-Identifier: MIT
/** What `top` shows, without a terminal: orders, keys, numbers, the screen, plain lines. */
import t from 'tap';

import { Board } from '../../src/top/board';
import { plainLines } from '../../src/top/plain';
import { screen, type Scene } from '../../src/top/screen';
import { sorted } from '../../src/top/sort';
import { bar, bitRate, clip, packetRate, part, short, textOf } from '../../src/top/text';
import { FIRST_VIEW, press, type View } from '../../src/top/view';
import { look, rowsOfThree } from '../helpers/top-rows';

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
  t.same([0, 0.5, 1, 9.96, 999, 999.6, 1234, 99_940, 99_960, 999_400, 999_600, 2.5e9].map(short), ['0', '0.5', '1', '10', '999', '1.0k', '1.2k', '99.9k', '100k', '999k', '1.0M', '2.5G']);
  t.equal(packetRate(undefined), '- packets/s');
  t.same([0, 1500, 2e9].map(bitRate), ['0 bit/s', '1.5 kbit/s', '2.0 Gbit/s']);
  t.equal(bar(0, 0.5, 10), '[.....|....]');
  t.equal(bar(0.001, 0.5, 10), '[#....|....]', 'not empty');
  t.equal(bar(1, 0.5, 10), '[#####|####]');
  t.equal(bar(1, 1, 4), '[###|]');
  t.equal(textOf(clip([part('abc'), part('def')], 4)), 'abcd');
});

t.test('the screen fits, whatever its size', async (t) => {
  const scene = (view: Partial<View> = {}): Scene => ({ rows: rowsOfThree(), view: { ...FIRST_VIEW, ...view }, seconds: 1, news: null, time: new Date(0) });
  for (const [width, height] of [[80, 24], [200, 60], [40, 10], [80, 1], [1, 1], [3, 7]] as const) {
    for (const view of [{}, { detail: true }, { chosen: 'vnet10' }]) {
      const lines = screen(scene(view), { width, height }).map(textOf);
      t.ok(lines.length === height && lines.every((line) => line.length <= width), `${width}x${height} ${JSON.stringify(view)}`);
    }
  }
  const full = screen(scene(), { width: 80, height: 24 }).map(textOf).join('\n');
  t.match(full, /> vnet1 in lab[^]*vnet2 in lab[^]*vnet10 in lab/);
  t.match(full, 'drops down 3/s');
  t.match(full, /stopped[^]*\[#{15}\|#{11}\.{3}\] +90 %/);
  t.equal(Math.max(...full.split('\n').map((line) => line.length)), 80);
  const small = screen(scene({ chosen: 'vnet10' }), { width: 80, height: 9 }).map(textOf).join('\n');
  t.match(small, '> vnet10 in lab', 'the chosen one is seen');
  t.match(small, '2 more above, 0 more below');
  t.match(textOf(screen(scene({ paused: true }), { width: 80, height: 24 })[0] ?? []), 'PAUSED');
  t.match(textOf(screen({ ...scene(), news: { name: 'vnet9', what: 'went' } }, { width: 80, height: 24 }).at(-1) ?? []), /vnet9 went$/);
  t.match(screen({ ...scene(), rows: [] }, { width: 80, height: 24 }).map(textOf).join(), 'nothing is attached');
});

t.test('plain lines', async (t) => {
  const [, second = ''] = plainLines(rowsOfThree(), []);
  t.equal(plainLines(rowsOfThree(), []).length, 3);
  t.match(second, /^vnet2 in lab: running, tx 5 packets\/s 0 bit\/s, rx 0 packets\/s 0 bit\/s, queue 0 %, held \d+, 0 stops\/s, /);
  t.same(plainLines([], [{ name: 'vnet0', what: 'went' }]), ['vnet0: went']);
  t.same(plainLines(new Board().update([look('a')], 0).rows, []), [], 'nothing to say after one look');
});
