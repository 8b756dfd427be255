// SPDX-License-Identifier: MIT
/**
 * How exactly faults do what was asked: delays, rates, losses and traces, each measured on an interface of its own. The
 * table in docs/faults.md is what this prints. VNET_BPF_SOAK_SECONDS seconds each (4); VNET_BPF_SEED: the seed.
 */
import t, { type Test } from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { HEADER_BYTES, TimedFlow } from '../helpers/timed-flow';

const SECONDS = Number(process.env['VNET_BPF_SOAK_SECONDS'] ?? 4);
const SEED = Number(process.env['VNET_BPF_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

t.setTimeout((SECONDS * 40_000 + 120_000) * SLOW);

const rows: string[] = [];
const row = (...cells: string[]): void => void rows.push(`| ${cells.join(' | ')} |`);

/** The value below which a share of the values is. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const us = (ms: number): string => `${Math.round(ms * 1000)} us`;
const percent = (share: number, digits = 2): string => `${(share * 100).toFixed(digits)} %`;
/** Standard deviations of a normal distribution between which all but one of 10,000 values lie. */
const SIGMAS = 3.9;

/** Sends for a while before it measures: the engine is compiled while it runs. */
async function warmFlow(t: Test, faults: string, perSecond: number, bytes: number): Promise<TimedFlow> {
  const flow = new TimedFlow(t, faults, SEED);
  await flow.run(perSecond, perSecond, bytes);
  return flow;
}

const test = (name: string, body: (t: Test) => Promise<void>): void => void t.test(name, { skip: cannotRun }, body);

for (const [asked, perSecond] of [
  [5, 50_000],
  [40, 50_000],
  [5, 1000],
] as const)
  test(`delay ${asked} ms of ${perSecond} frames a second`, async (t) => {
    const flow = await warmFlow(t, `udp: delay ${asked}ms`, perSecond, 64);
    const { sent, received, perSecond: was } = await flow.run(SECONDS * perSecond, perSecond, 64);
    const errors = [...received].map((time, i) => time - (sent[i] as number) - asked);
    t.notOk(errors.some(Number.isNaN), 'none is lost');
    const [median, p99, worst] = [quantile(errors, 0.5), quantile(errors, 0.99), Math.max(...errors.slice(0, 1e5))];
    const least = Math.min(...errors.slice(0, 1e5));
    // A virtual machine is interrupted for milliseconds at a time, which says nothing of the engine: most windows are
    // without that.
    const size = perSecond / 20;
    const windows = Array.from({ length: errors.length / size }, (_, i) => errors.slice(i * size, (i + 1) * size));
    const quiet = quantile(
      windows.map((window) => quantile(window, 0.99)),
      0.5,
    );
    row(
      `delay ${asked}ms`,
      `${perSecond} frames/s`,
      `error: median ${us(median)}, 99 % below ${us(p99)}; in half of all windows of 50 ms below ${us(quiet)}`,
    );
    t.comment(`sent ${Math.round(was)}/s; median ${us(median)}, p99 ${us(p99)}, ${us(least)} to ${us(worst)}`);
    t.ok(least >= -0.001, `none comes early: ${us(least)}`);
    if (perSecond < 10_000) return; // the thread sleeps in between, as exactly as the machine can
    t.ok(median <= 0.05 * SLOW, `median ${us(median)}`);
    t.ok(quiet <= SLOW, `p99 of a window of 50 ms ${us(quiet)}`);
  });

test('jitter', async (t) => {
  const flow = await warmFlow(t, 'udp: delay 20ms jitter 2ms distribution normal unordered', 5000, 64);
  const { sent, received } = await flow.run(SECONDS * 5000, 5000, 64);
  const delays = [...received].map((time, i) => time - (sent[i] as number));
  const average = mean(delays);
  const deviation = Math.sqrt(mean(delays.map((delay) => (delay - average) ** 2)));
  row(
    'delay 20ms jitter 2ms distribution normal unordered',
    '5000 frames/s',
    `mean ${average.toFixed(3)} ms, standard deviation ${deviation.toFixed(3)} ms`,
  );
  t.ok(Math.abs(average - 20) < 0.2 && Math.abs(deviation - 2) < 0.1, `${average}, ${deviation}`);
});

for (const [words, mbit, bytes] of [
  ['1mbit', 1, 250],
  ['10mbit', 10, 1000],
  ['100mbit', 100, 1000],
  ['400mbit', 400, 1400],
] as const)
  test(`rate ${words}`, async (t) => {
    const offered = ((mbit * 1e6) / 8 / bytes) * 1.5;
    const flow = await warmFlow(t, `udp: rate ${words} queue 50ms`, Math.round(offered), bytes);
    const { received, order } = await flow.run(Math.round(SECONDS * offered), offered, bytes);
    const [first = NaN, last = NaN] = [received[order[0] ?? 0], received[order.at(-1) ?? 0]];
    const was = ((order.length - 1) * bytes * 8) / (last - first) / 1000;
    row(
      `rate ${words} queue 50ms`,
      `1.5 times as much, frames of ${bytes} bytes`,
      `${was.toFixed(3)} mbit, error ${percent(was / mbit - 1)}`,
    );
    t.ok(Math.abs(was / mbit - 1) < 0.02, `${was} mbit`);
  });

const COUNT = 50_000 * SECONDS;

for (const chance of [0.001, 0.02, 0.3])
  test(`loss ${percent(chance, 1)}`, async (t) => {
    const flow = new TimedFlow(t, `udp: loss ${chance * 100}%`, SEED);
    const { order } = await flow.run(COUNT, 50_000, 64);
    const was = 1 - order.length / COUNT;
    const within = SIGMAS * Math.sqrt((chance * (1 - chance)) / COUNT);
    row(
      `loss ${percent(chance, 1).replace(' ', '')}`,
      `${COUNT} frames`,
      `${percent(was, 3)}; 99.99 % of all seeds: within ${percent(within, 3)}`,
    );
    t.ok(Math.abs(was - chance) < within, `${was}`);
  });

for (const [p, r] of [
  [0.01, 0.25],
  [0.002, 0.1],
] as const)
  test(`gemodel ${percent(p)} ${percent(r)}`, async (t) => {
    const flow = new TimedFlow(t, `udp: loss gemodel ${p * 100}% ${r * 100}%`, SEED);
    const { received } = await flow.run(COUNT, 50_000, 64);
    const lost = [...received].map(Number.isNaN);
    const share = lost.filter(Boolean).length / COUNT;
    const bursts = lost.filter((is, i) => is && !lost[i - 1]).length;
    const length = (share * COUNT) / bursts;
    const expected = p / (p + r);
    // The states of neighbours depend on each other, which makes the deviation larger than that of a coin.
    const memory = 1 - p - r;
    const within = SIGMAS * Math.sqrt(((expected * (1 - expected)) / COUNT) * ((1 + memory) / (1 - memory)));
    // Lengths are geometric.
    const lengthWithin = SIGMAS * Math.sqrt((1 - r) / r ** 2 / bursts);
    row(
      `loss gemodel ${p * 100}% ${r * 100}%`,
      `${COUNT} frames`,
      `${percent(share, 3)} for ${percent(expected, 3)} (within ${percent(within, 3)}), in bursts of ${length.toFixed(2)} for ${(1 / r).toFixed(2)} (within ${lengthWithin.toFixed(2)})`,
    );
    t.ok(Math.abs(share - expected) < within, `share ${share} for ${expected}, within ${within}`);
    t.ok(Math.abs(length - 1 / r) < lengthWithin, `bursts of ${length}, within ${lengthWithin}`);
  });

test('trace', async (t) => {
  // A second each of 12, 36 and 3 mbit, with a gap of 200 ms.
  const times: number[] = [];
  for (let ms = 1; ms <= 1000; ms++) times.push(ms);
  for (let ms = 1001; ms <= 2000; ms++) times.push(ms, ms, ms);
  for (let ms = 2200; ms <= 3200; ms += 4) times.push(ms);
  const flow = new TimedFlow(t, `udp: trace ${times.join(',')} queue 2s`, SEED);
  const { sent, received, order } = await flow.run(SECONDS * 4000, 4000, 1514);
  const [begun = NaN] = sent;
  const bins = new Map<number, number>();
  const binOf = (ms: number): number => Math.floor(ms / 100);
  for (const number of order) {
    // Half a millisecond later, so that what comes late by less is counted where it belongs.
    const bin = binOf((received[number] as number) - begun - 0.5);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  const errors: number[] = [];
  for (let bin = 1; bin < SECONDS * 10 - 1; bin++) {
    const from = bin * 100;
    const expected = Array.from(
      { length: Math.ceil(SECONDS / 3) + 1 },
      (_, round) => times.filter((ms) => binOf(ms - 0.5 + round * 3200) * 100 === from).length,
    ).reduce((sum, count) => sum + count, 0);
    errors.push((bins.get(bin) ?? 0) - expected);
  }
  const total = errors.reduce((sum, error) => sum + error, 0) / order.length;
  row(
    'trace, 12, 36, 0 and 3 mbit',
    'always a queue',
    `in each 100 ms ${Math.max(...errors.map(Math.abs))} packets at most more or less; rate: error ${percent(total)}`,
  );
  // What a machine that is interrupted for 2 ms delivers too late, at three packets a millisecond.
  t.ok(Math.max(...errors.map(Math.abs)) <= 6, `packets in 100 ms: ${errors.join(' ')}`);
  t.ok(Math.abs(total) < 0.02);
});

t.test('the table', async (t) => {
  t.comment(`seed ${SEED}; frames have ${HEADER_BYTES} bytes of headers`);
  t.comment('| rule | frames | measured |');
  t.comment('| --- | --- | --- |');
  for (const each of rows) t.comment(each);
  t.ok(rows.length > 0 || cannotRun);
});
