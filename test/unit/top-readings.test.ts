// SPDX-License-Identifier: MIT
/** What `top` knows of interfaces: rates, what they were over time, who came and went. */
import t from 'tap';

import type { Stats } from '../../src/datapath/stats';
import {
  extended,
  type History,
  newest,
  type QueueActivity,
  type Rates,
  ratesBetween,
  Readings,
  sampleOf,
  sorted,
} from '../../src/top/readings';
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
  t.match(rates, {
    txPackets: 50,
    txBits: 4000,
    rxPackets: 25,
    rxBits: 0,
    polls: 10,
    budgetUsedUp: 0.25,
    stops: 0.5,
    wakes: 0,
  });
  t.same(
    [...(rates?.drops ?? [])],
    [
      ['full', 5],
      ['held', 1],
      ['hook', 2],
    ],
    'drops by reason, only those that there were',
  );
  t.equal(ratesBetween(after, before, 1000), null, 'counters that went back tell nothing');
  t.equal(ratesBetween(before, after, 0), null);
  t.match(ratesBetween(before, before, 1000), { polls: 0, budgetUsedUp: 0 }, 'nothing is divided by 0');
});

t.test('what the queue did between two readings', async (t) => {
  const queue = (stops: number, wakes: number, stopped: boolean): Stats['queue'] => ({
    ...reading().queue,
    stops,
    wakes,
    stopped,
  });
  const between = (before: Stats['queue'], after: Stats['queue']): QueueActivity =>
    sampleOf(ratesBetween(reading(), reading(), 1000) as Rates, before, after).queue;
  t.equal(between(queue(0, 0, false), queue(0, 0, false)), 'ran');
  t.equal(between(queue(0, 0, false), queue(1, 0, true)), 'stopped');
  t.equal(between(queue(1, 0, true), queue(1, 0, true)), 'stopped');
  t.equal(between(queue(1, 0, true), queue(1, 1, false)), 'woke');
  t.equal(between(queue(1, 1, false), queue(9, 9, false)), 'woke');
});

t.test('a history has an entry for each interval, and the newest is on the right', async (t) => {
  const sample = (tx: number): History[number] => ({ tx, rx: 0, queue: 'ran' });
  const of = (history: History): (number | null)[] => history.map((each) => each && each.tx);
  const history = [1, 2, 3].reduce<History>((before, tx) => extended(before, sample(tx), 1.2), []);
  t.same(of(newest(history, 2)), [2, 3], 'what is older goes first');
  t.same(of(newest(history, 5)), [null, null, 1, 2, 3]);
  t.same(newest(history, 0), []);
  t.same(
    of(newest(extended(history, sample(9), 3), 4)),
    [3, 9, 9, 9],
    'a reading that comes late stands for all that passed',
  );
  t.same(of(newest(extended(history, null, 0), 2)), [3, null], 'one that says nothing is a gap');
  t.equal(extended(history, sample(1), 1e9).length, 1000, 'it has an end, however long nobody looked');
});

t.test('a screen that stands still keeps its history', async (t) => {
  const readings = new Readings(1000);
  readings.update([look('a')], 0);
  const [before] = readings.update([look('a')], 1000).rows;
  readings.update([look('a', (s) => (s.tx.bytes += 100))], 2000);
  t.equal(before?.history.length, 1);
});

t.test('rows do not change places because of noise', async (t) => {
  const readings = new Readings(1000);
  let [a, b, at] = [0, 0, 0];
  const orderAfter = (seconds: number, ratesAt: (second: number) => [number, number]): string[] => {
    const orders: string[] = [];
    for (let second = 0; second < seconds; second++, at += 1000) {
      const [of_a, of_b] = ratesAt(second);
      [a, b] = [a + of_a, b + of_b];
      const { rows } = readings.update(
        [
          look('a', (s) => ((s.interface = 'a'), (s.tx.packets += a))),
          look('b', (s) => ((s.interface = 'b'), (s.tx.packets += b))),
        ],
        at,
      );
      const order = sorted(rows, 'tx')
        .map(({ id }) => id)
        .join('');
      if (order !== orders.at(-1)) orders.push(order);
    }
    return orders;
  };
  orderAfter(3, () => [1000, 1000]);
  t.same(
    orderAfter(60, (second) => (second % 2 ? [1150, 900] : [900, 1150])),
    ['ab'],
    'they take turns in being faster',
  );
  t.same(
    orderAfter(40, () => [1000, 2000]),
    ['ab', 'ba'],
    'one that is faster for some seconds goes up, once',
  );
  t.same(orderAfter(60, () => [0, 0]).at(-1), 'ab', 'at rest they stand by name again');
});

t.test('interfaces come and go', async (t) => {
  const readings = new Readings();
  t.same(readings.update([look('a')], 0).changes, [], 'what is there at first has not come');
  const { rows, changes } = readings.update(
    [look('a', (s) => (s.tx.packets += 7)), look('b', (s) => (s.interface = 'vnet1'))],
    1000,
  );
  t.same(changes, [{ name: 'vnet1 in lab', what: 'came' }]);
  t.equal(rows[0]?.rates?.txPackets, 7);
  t.equal(rows[1]?.rates, null, 'one reading makes no rate');
  t.same(readings.update([look('b')], 2000).changes, [{ name: 'vnet0 in lab', what: 'went' }]);
  t.same(
    readings.update([look('again')], 2500).changes.map(({ what }) => what),
    ['went', 'came'],
    'a replaced one has come',
  );
  t.same(
    readings.update([look('c', (s) => (s.interface = 'x\x1b[2J'))], 3000).changes[1]?.name,
    'x\\x1b[2J in lab',
    'names cannot command the terminal',
  );
});
