// SPDX-License-Identifier: MIT
/** `top` without a terminal: rates, the minute, orders, keys, and what the screen shows. */
import t from 'tap';

import type { Stats } from '../../src/datapath/stats';
import { Board, type Look } from '../../src/top/board';
import { plainLines } from '../../src/top/plain';
import { ratesBetween } from '../../src/top/rates';
import { screen, type Scene } from '../../src/top/screen';
import { sorted } from '../../src/top/sort';
import { bar, bitRate, clip, packetRate, part, short, textOf } from '../../src/top/text';
import { Timeline } from '../../src/top/timeline';
import { FIRST_VIEW, press, type View } from '../../src/top/view';
import { sampleStats } from '../helpers/sample-stats';

/** A reading that differs from the sample in what is given. */
function reading(change: (stats: Stats) => void = () => undefined): Stats {
  const stats = sampleStats();
  stats.state = 'running';
  stats.queue = { ...stats.queue, capacityBytes: 1000, usedBytes: 0, packets: 0, capacityPackets: null, lowWatermarkBytes: 500, stopped: false };
  change(stats);
  return stats;
}

const look = (id: string, change?: (stats: Stats) => void): Look => ({ id, budget: 64, whenFull: 'hold', stats: reading(change) });

t.test('rates from two readings', async (t) => {
  const before = reading();
  const after = reading((stats) => {
    stats.tx.packets += 100;
    stats.tx.bytes += 1000;
    stats.rx.packets += 50;
    stats.poll.polls += 20;
    stats.poll.budgetExhausted += 5;
    stats.queue.stops += 1;
    stats.refused.full += 10;
    stats.held.dropped += 2;
    stats.hooks.dropped += 4;
  });
  const rates = ratesBetween(before, after, 2000);
  t.match(rates, { txPackets: 50, txBits: 4000, rxPackets: 25, rxBits: 0, polls: 10, budgetUsedUp: 0.25, stops: 0.5, wakes: 0 });
  t.same([...(rates?.drops ?? [])], [['full', 5], ['held', 1], ['hook', 2]], 'drops by reason, only those that there were');
  t.equal(ratesBetween(after, before, 1000), null, 'counters that went back tell nothing');
  t.equal(ratesBetween(before, after, 0), null);
  t.match(ratesBetween(before, before, 1000), { polls: 0, budgetUsedUp: 0 }, 'nothing is divided by 0');
});

t.test('the last minute', async (t) => {
  const timeline = new Timeline();
  const queue = (stops: number, wakes: number, stopped: boolean): Stats['queue'] => ({ ...reading().queue, stops, wakes, stopped });
  t.equal(timeline.columns(0, 4), '    ', 'nobody has looked');
  timeline.add(0, 1000, queue(0, 0, false), queue(0, 0, false));
  timeline.add(1000, 2000, queue(0, 0, false), queue(1, 0, true));
  timeline.add(2000, 4000, queue(1, 0, true), queue(1, 0, true));
  timeline.add(4000, 5000, queue(1, 0, true), queue(1, 1, false));
  timeline.add(5000, 6000, queue(1, 1, false), queue(9, 9, false));
  timeline.add(6000, 7000, queue(9, 9, false), queue(9, 9, false));
  t.equal(timeline.columns(7000, 60), ' '.repeat(53) + '.###++.');
  t.equal(timeline.columns(7000, 30).trim(), '.#++', 'half as many columns: the worst of each');
  t.equal(timeline.columns(66_000, 60), '.' + ' '.repeat(59), 'what is older than a minute is left out');
  t.equal(timeline.columns(68_000, 60), ' '.repeat(60));
});

t.test('interfaces come and go', async (t) => {
  const board = new Board();
  t.same(board.update([look('a')], 0).changes, [], 'what is there at first has not come');
  const { rows, changes } = board.update([look('a', (s) => (s.tx.packets += 7)), look('b', (s) => (s.interface = 'vnet1'))], 1000);
  t.same(changes, [{ name: 'vnet1 in lab', what: 'came' }]);
  t.equal(rows[0]?.rates?.txPackets, 7);
  t.equal(rows[1]?.rates, null, 'one reading makes no rate');
  t.same(board.update([look('b')], 2000).changes, [{ name: 'vnet0 in lab', what: 'went' }]);
  t.same(board.update([look('c', (s) => (s.interface = 'x\x1b[2J'))], 3000).changes[0]?.name, 'x?[2J in lab', 'names cannot command the terminal');
});

/** Rows of three interfaces with rates. */
function rowsOfThree(): ReturnType<Board['update']>['rows'] {
  const board = new Board();
  const named = (name: string, change: (stats: Stats) => void = () => undefined): Look =>
    look(name, (stats) => {
      stats.interface = name;
      change(stats);
    });
  board.update(['vnet2', 'vnet10', 'vnet1'].map((name) => named(name)), 0);
  return board.update(
    [
      named('vnet2', (s) => (s.tx.packets += 5)),
      named('vnet10', (s) => {
        s.rx.packets += 9;
        s.queue.usedBytes = 900;
        s.queue.stopped = true;
        s.state = 'stopped';
      }),
      named('vnet1', (s) => (s.refused.down += 3)),
    ],
    1000,
  ).rows;
}

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
