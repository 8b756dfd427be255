// SPDX-License-Identifier: MIT
/** What the page of `vnet-bpf web` computes of its messages: columns of charts, rates, dots, and what it keeps. */
import t, { type Test } from 'tap';

import type { Stats } from '../../src/datapath/stats';
import type { FrameSeen, FromPage, StatsSeen } from '../../src/web/protocol';
import { bytes, count, percent, short } from '../../src/web/page/format';
import { History, KEPT, MovingRates } from '../../src/web/page/history';
import { layoutOf, pointOn } from '../../src/web/page/layout';
import { FRAMES_KEPT, Model } from '../../src/web/page/model';
import { DOTS_AT_ONCE, framesPerDot, lossesByPart, Motion } from '../../src/web/page/motion';
import { idleStats } from '../helpers/sample-stats';

/** A reading after `packets` frames. */
function readingOf(packets: number, change: (stats: Stats) => unknown = () => undefined): Stats {
  const stats = idleStats();
  stats.queue.stopped = false;
  Object.assign(stats.queue, { capacityBytes: 1000, capacityPackets: null });
  stats.tx.packets = stats.rx.packets = packets;
  change(stats);
  return stats;
}

const seenOf = (time: number, stats: Stats): StatsSeen => ({
  type: 'stats',
  interface: 'vnet0',
  time,
  stats,
  faults: null,
  hook: null,
  impairment: null,
  carrier: 'up',
  latency: null,
});

t.test('rates are those of the last second', async (t) => {
  const rates = new MovingRates(1000);
  t.equal(rates.add(0, readingOf(0)), null, 'one reading has none');
  let last = null;
  for (let i = 1; i <= 20; i++) last = rates.add(i * 100, readingOf(i * 50));
  t.equal(last?.txPackets, 500);
  for (let i = 21; i <= 31; i++) last = rates.add(i * 100, readingOf(1000));
  t.equal(last?.txPackets, 0, 'a second after the last frame');
  t.equal(rates.add(3200, readingOf(3)), null, 'another attachment counts from 0');
  t.equal(rates.add(9000, readingOf(9000)), null, 'nothing is known of a time without readings');
  t.equal(rates.add(9100, readingOf(9010))?.txPackets, 100);
});

t.test('a history has five minutes, gaps, and the times at which the queue stopped', async (t) => {
  const history = new History();
  const add = (time: number, stats: Stats): void => history.add({ time, stats, latency: null });
  add(1000, readingOf(0));
  add(
    1100,
    readingOf(10, ({ queue }) => Object.assign(queue, { usedBytes: 1000, stopped: true, stops: 1 })),
  );
  add(
    1200,
    readingOf(20, ({ queue }) => Object.assign(queue, { usedBytes: 500, stops: 1, wakes: 1 })),
  );
  t.same(history.times, [1, 1.1, 1.2]);
  t.same(history.column('sent'), [null, 100, 100]);
  t.same(history.column('fill'), [0, 100, 50]);
  t.same(history.column('stopped'), [0, 1, 0]);
  t.same(history.column('woke'), [0, 0, 1]);
  add(1200, readingOf(30));
  t.equal(history.length, 3, 'the same time again is left out');
  const kept = history.copy();
  add(9000, readingOf(99));
  t.same(history.column('fill').slice(-2), [null, 0], 'no line across a time without readings');
  t.equal(kept.length, 3, 'a copy stays as it is');
  for (let i = 0; i < 2 * KEPT; i++) add(10_000 + i * 100, readingOf(100 + i));
  t.equal(history.length, KEPT);
  t.equal(history.column('p99').length, KEPT);
  t.equal((history.times.at(-1) ?? 0) - (history.times[0] ?? 0), 299.9);
});

t.test('dots', async (t) => {
  t.equal(framesPerDot(5, 1), 1, 'each frame at low rates');
  t.equal(framesPerDot(100_000, 1), 20_000);
  t.equal(framesPerDot(80_000, 20_000), 20_000, 'as many as before while the rate is about the same');
  t.equal(framesPerDot(3, 20_000), 1);
  for (let rate = 1; rate < 1e8; rate *= 1.3) t.ok(rate / framesPerDot(rate, 1) <= 12, `${rate} frames a second`);

  const motion = new Motion();
  motion.add(readingOf(1000), 1, 0);
  t.equal(motion.dots.length, 0, 'nothing is known of what was before');
  motion.add(readingOf(1003), 1, 100);
  t.same(motion.dots.map(({ path }) => path).sort(), ['returned', 'returned', 'returned', 'sent', 'sent', 'sent']);
  const twoRefused = ({ refused }: Stats): unknown => (refused.full = 2);
  motion.add(readingOf(1003, twoRefused), 1, 200);
  t.equal(motion.dots.filter(({ path }) => path === 'refused').length, 2);
  motion.add(readingOf(1004, twoRefused), 1, 60_000);
  t.equal(motion.dots.length, 2, 'those that have arrived are forgotten');
  for (let i = 1; i <= 12; i++) motion.add(readingOf(1004 + i, twoRefused), 10, 62_000 + i);
  t.equal(motion.dots.filter(({ path }) => path === 'sent').length, 1, 'twelve frames, ten to a dot');
  motion.add(readingOf(1e6), 1, 62_100);
  t.equal(motion.dots.length, DOTS_AT_ONCE);
});

t.test('losses are shown where they happen', async (t) => {
  const stats = readingOf(9, ({ refused, hooks, impair }) => {
    Object.assign(refused, { full: 1, down: 2 });
    hooks.dropped = 3;
    impair.lost = 4;
  });
  t.same(lossesByPart(stats), {
    tx: [['full', 1]],
    hook: [['hook or faults', 3]],
    behind: [
      ['down', 2],
      ['impair', 4],
    ],
  });
});

t.test('the parts of the loop do not overlap at any width, and frames stay inside', async (t) => {
  for (let width = 700; width <= 2000; width += 20) {
    const layout = layoutOf(width);
    const { application, tx, ring, waiting, poller, socket, rx } = layout;
    const boxes = [application, tx, ring, waiting, poller, socket, rx];
    const overlap = boxes.some((a, i) =>
      boxes
        .slice(i + 1)
        .some((b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height),
    );
    t.notOk(overlap, `${width} wide`);
    const points = Object.values(layout.paths).flatMap((path) => [0, 0.3, 1].map((share) => pointOn(path, share)));
    t.ok(points.every(([x, y]) => x >= 0 && x <= width && y >= 0 && y <= layout.height));
  }
  t.same(pointOn([[0, 0], [10, 0], [10, 30]], 0.5), [10, 10]); // prettier-ignore
});

/** A model, and what it has sent. */
function connected(): { model: Model; sent: FromPage[] } {
  const sent: FromPage[] = [];
  const model = new Model((message) => sent.push(message) > 0);
  model.opened();
  const interfaces = ['vnet0', 'vnet1'].map((name) => ({ name, netns: null }));
  model.received({ type: 'hello', version: '1', readOnly: false, interfaces });
  return { model, sent };
}

const framesFrom = (number: number, frames: number): FrameSeen[] =>
  Array.from({ length: frames }, (_, i) => ({
    number: number + i,
    time: 0,
    length: 60,
    summary: '',
    outcome: '',
    kind: 'passed',
    took: 0.1,
    bytes: '',
  }));

const lastWatch = (sent: readonly FromPage[]): FromPage | undefined =>
  sent.filter(({ type }) => type === 'watch').at(-1);

t.test('the page watches the first interface, and forgets one when it watches another', async (t) => {
  const { model, sent } = connected();
  t.same(lastWatch(sent), { type: 'watch', interface: 'vnet0', frames: null });
  model.received(seenOf(1000, readingOf(1)));
  model.received({ ...seenOf(1000, readingOf(1)), interface: 'vnet1' });
  t.equal(model.history.length, 1, 'readings of another interface are late');
  model.choose('vnet1');
  t.same(lastWatch(sent), { type: 'watch', interface: 'vnet1', frames: null });
  t.equal(model.history.length, 0);
  t.equal(model.seen, null);
  model.received({ type: 'gone', interface: 'vnet1', why: 'it is detached' });
  t.equal(model.gone, 'it is detached');
  model.received({ ...seenOf(2000, readingOf(1)), interface: 'vnet1' });
  t.equal(model.gone, null, 'it has come back');
});

t.test('an interface that is gone stays in the list, named as gone, beside the others', async (t) => {
  const { model } = connected();
  const [vnet0, vnet1] = ['vnet0', 'vnet1'].map((name) => ({ name, gone: false }));
  t.same(model.choices, [vnet0, vnet1]);
  model.received({ type: 'gone', interface: 'vnet0', why: 'it is detached' });
  model.received({ type: 'interfaces', interfaces: [{ name: 'vnet1', netns: null }] });
  t.equal(model.watched, 'vnet0', 'the page waits for it');
  t.same(model.choices, [{ name: 'vnet0', gone: true }, vnet1]);
  model.received({ type: 'interfaces', interfaces: [] });
  t.same(model.choices, [{ name: 'vnet0', gone: true }], 'also if there is no other');
  model.choose('vnet1');
  model.received({ type: 'interfaces', interfaces: [{ name: 'vnet1', netns: null }] });
  t.same(model.choices, [vnet1], 'it is forgotten when another is chosen');
});

t.test('the page keeps 2,000 frames, and asks for none that nobody looks at', async (t) => {
  const { model, sent } = connected();
  model.askForFrames('udp');
  t.same(lastWatch(sent), { type: 'watch', interface: 'vnet0', frames: { filter: 'udp' } });
  for (let i = 0; i < 30; i++)
    model.received({ type: 'frames', interface: 'vnet0', frames: framesFrom(1 + i * 100, 100), missed: 2, unavailable: null }); // prettier-ignore
  t.equal(model.frames.length, FRAMES_KEPT);
  t.equal(model.frames.at(-1)?.number, 3000);
  t.equal(model.missed, 60);
  const before = sent.length;
  model.askForFrames('udp');
  t.equal(sent.length, before, 'the same filter again');
  model.askForFrames('tcp');
  t.equal(model.frames.length, 0, 'those of another filter are not shown');
  model.askForFrames(null);
  t.same(lastWatch(sent), { type: 'watch', interface: 'vnet0', frames: null });
});

t.test('frames are recorded as long as a view shows them, and numbered across connections', async (t) => {
  const { model, sent } = connected();
  const first = model.showFrames();
  t.match(lastWatch(sent), { frames: { filter: '' } });
  model.setFilter('udp');
  t.match(lastWatch(sent), { frames: { filter: 'udp' } });
  const before = sent.length;
  first();
  const second = model.showFrames();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(sent.length, before, 'the next view takes over');
  const seen = { type: 'frames', interface: 'vnet0', missed: 0, unavailable: null } as const;
  model.received({ ...seen, frames: framesFrom(1, 5) });
  model.closed(true);
  model.opened();
  model.received({ type: 'hello', version: '1', readOnly: false, interfaces: [] });
  t.match(lastWatch(sent), { frames: { filter: 'udp' } }, 'another connection asks for the same');
  model.received({ ...seen, frames: framesFrom(1, 2) });
  t.same(model.frames.map(({ number }) => number), [1, 2, 3, 4, 5, 6, 7]); // prettier-ignore
  second();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.match(lastWatch(sent), { frames: null }, 'nobody shows them any more');
  model.setFilter('tcp');
  t.match(lastWatch(sent), { frames: null });
  model.showFrames();
  t.match(lastWatch(sent), { frames: { filter: 'tcp' } });
  t.equal(model.frames.length, 0, 'those of another filter are not shown');
});

async function refused(t: Test, model: Model, why: string): Promise<void> {
  t.match(await model.do({ kind: 'cut', ms: 5000 }), { message: /connection to the server is lost/ }, why);
}

t.test('an action gets the answer that is its own, or hears that the connection is lost', async (t) => {
  const { model, sent } = connected();
  const [first, second] = [model.do({ kind: 'cut', ms: 5000 }), model.do({ kind: 'clear-faults' })];
  t.same(sent.slice(-2).map((message) => message.type === 'do' && message.id), [1, 2]); // prettier-ignore
  model.received({ type: 'done', id: 2, error: { message: 'no', hint: 'try' } });
  model.received({ type: 'done', id: 1, error: null });
  t.equal(await first, null);
  t.same(await second, { message: 'no', hint: 'try' });
  const third = model.do({ kind: 'clear-faults' });
  model.closed(true);
  t.match(await third, { message: /connection to the server is lost/ });
  t.equal(model.status, 'lost');
  await refused(t, new Model(() => false), 'without a connection');
});

t.test('a page whose token is wrong says so; one whose server went away waits for it', async (t) => {
  const model = new Model(() => false);
  model.closed(false);
  t.equal(model.status, 'refused');
  const { model: other } = connected();
  other.closed(true);
  other.closed(false);
  t.equal(other.status, 'lost');
});

t.test('numbers', async (t) => {
  t.same([0, 3.94, 12, 9999, 9999.6, 12_345, 123_456, 999_600, 5e6].map(short), [
    '0', '3.9', '12', '9,999', '10.0 k', '12.3 k', '123 k', '1.0 M', '5.0 M',
  ]); // prettier-ignore
  t.same([512, 1536, 8 << 20].map(bytes), ['512 B', '1.5 KiB', '8 MiB']);
  t.same([0, 0.001, 0.5, 1].map(percent), ['0 %', '< 1 %', '50 %', '100 %']);
  t.equal(count(1234567), '1,234,567');
});
