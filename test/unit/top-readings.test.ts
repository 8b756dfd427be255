// SPDX-License-Identifier: MIT
/** What `top` knows of interfaces: rates, the last minute, who came and went. */
import t from 'tap';

import type { Stats } from '../../src/datapath/stats';
import { Board } from '../../src/top/board';
import { ratesBetween } from '../../src/top/rates';
import { Timeline } from '../../src/top/timeline';
import { look, reading } from '../helpers/top-rows';

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
  t.same(board.update([look('again')], 2500).changes.map(({ what }) => what), ['went', 'came'], 'a replaced one has come');
  t.same(board.update([look('c', (s) => (s.interface = 'x\x1b[2J'))], 3000).changes[1]?.name, 'x\\x1b[2J in lab', 'names cannot command the terminal');
});
