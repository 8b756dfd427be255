// SPDX-License-Identifier: MIT
/** `vnet-bpf stats`. */
import { type CounterGroup, worded } from '../datapath/counter-words';
import { frameAccounting, lostBehind, readStats, type Stats } from '../datapath/stats';
import { nothingIsAttached, usageError, VnetError } from '../errors';
import { clock, monotonicMs } from '../native/clock';
import { printable } from '../printable';
import { requirePrivileges } from '../requirements';
import type { Attachment } from '../state/store';
import { bytes, print, printJson, printMade, table, tellNotice } from '../terminal/output';
import { checkSelection, readIfWhole, reportBroken, secondsOf, selected, type Read } from './selection';

/** How long `--check` waits for frames that are on their way, and between two looks, in milliseconds. */
const SETTLES_MS = { within: 1000, again: 50 } as const;

interface StatsArguments {
  iface: string | undefined;
  netns: string | undefined;
  json: boolean;
  prometheus: boolean;
  check: boolean;
  watch: string | undefined;
}

export async function statsCommand(args: StatsArguments): Promise<void> {
  if (args.json && args.prometheus)
    throw usageError('stats', '--json and --prometheus are two forms of the same', 'give one of them');
  const watchMs = args.watch === undefined ? 0 : secondsOf('--watch', args.watch) * 1000;
  checkSelection(args);
  requirePrivileges();
  for (;;) {
    const found = selected(args).flatMap((attachment) => readIfWhole(attachment, args));
    const read = args.check ? await Promise.all(found.map(settled)) : found;
    reportBroken(args);
    const readings = read.map(({ stats }) => stats);
    if (args.json) printJson(args.iface === undefined ? readings : readings[0]);
    else if (args.prometheus) printMetrics(read);
    else if (read.length === 0) print(nothingIsAttached(args.netns));
    else
      print(
        ...read
          .map(({ attachment, stats }) => asLines(stats, attachment))
          .flatMap((lines, i) => (i === 0 ? lines : ['', ...lines])),
      );
    if (args.check) readings.forEach(requireBalance);
    if (watchMs === 0) return;
    await new Promise((resolve) => setTimeout(resolve, watchMs));
    if (!args.json) print('');
  }
}

/** The reading, or a later one: a frame on its way, such as one that the kernel sends by itself, is not lost. */
async function settled({ attachment, stats }: Read): Promise<Read> {
  for (const end = clock.now() + SETTLES_MS.within; !frameAccounting(stats).balanced && clock.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLES_MS.again));
    stats = readStats(attachment);
  }
  return { attachment, stats };
}

function printMetrics(read: readonly Read[]): void {
  const { metricsText } = require('../metrics/prometheus') as typeof import('../metrics/prometheus');
  const { readingOf } = require('../metrics/prometheus') as typeof import('../metrics/prometheus');
  printMade(metricsText(read.map(({ attachment, stats }) => readingOf(attachment, stats))).trimEnd());
}

function requireBalance(stats: Stats): void {
  const sums = frameAccounting(stats);
  const lost = lostBehind(stats);
  if (sums.balanced && lost.length > 0)
    tellNotice(`${stats.interface}: every frame is accounted for, but not all came back: ${listed(lost)}`);
  if (sums.balanced) return;
  throw new VnetError(
    'STATE',
    `the frame accounting of ${stats.interface}`,
    `${sums.in} frames went in, ${sums.out} are accounted for (${sums.out - sums.in >= 0 ? '+' : ''}${sums.out - sums.in})`,
    { hint: 'it holds at rest: look again when there is no traffic' },
  );
}

const listed = (counts: readonly (readonly [string, number])[]): string =>
  counts.map(([name, count]) => `${name} ${count}`).join(', ');

/** Says "balanced" alone only if nothing was lost. */
function verdict(stats: Stats): string {
  if (!frameAccounting(stats).balanced) return 'frames in flight, or lost';
  const lost = lostBehind(stats);
  return lost.length === 0 ? 'balanced' : `balanced, but not all came back: ${listed(lost)}`;
}

/** The line of a group, if any of its counters is above 0. */
function unlessIdle(stats: Stats, group: CounterGroup): string[][] {
  const counts = Object.values(stats[group]) as number[];
  return counts.some((count) => count > 0) ? [[group, ...worded(stats, group, 'stats')]] : [];
}

/** How long a loss of the carrier goes on, in words. */
export const lossText = ({ until }: NonNullable<Attachment['carrierLost']>): string =>
  until === null
    ? 'until vnet-bpf carrier restores it'
    : `for another ${(Math.max(0, until - monotonicMs()) / 1000).toFixed(1)} s`;

/** The text form: what went in, what came out, and why the rest did not. */
export function asLines(
  stats: Stats,
  { hookDown, carrierLost }: Pick<Attachment, 'hookDown' | 'carrierLost'> = { hookDown: null, carrierLost: null },
): string[] {
  const { queue, refused } = stats;
  const sums = frameAccounting(stats);
  const reasons = Object.entries(refused).filter(([, count]) => count > 0);
  const where = stats.netns === null ? '' : ` in ${stats.netns}`;
  const rows = [
    ['tx', `${stats.tx.packets} packets`, `${stats.tx.bytes} bytes`],
    ['rx', `${stats.rx.packets} packets`, `${stats.rx.bytes} bytes`, `largest frame ${queue.largestFrame} bytes`],
    [
      queue.queues > 1 ? `${queue.queues} queues` : 'queue',
      `${queue.packets} packets`,
      `${bytes(queue.usedBytes)} of ${bytes(queue.capacityBytes)}`,
      `wakes at ${bytes(queue.lowWatermarkBytes)}`,
    ],
    ['', `${queue.stops} stops`, `${queue.wakes} wakes`, queue.stopped ? 'stopped now' : 'running'],
    ['held', ...worded(stats, 'held', 'stats')],
    ['refused', reasons.length === 0 ? 'none' : listed(reasons)],
    ...unlessIdle(stats, 'hooks'),
    ...(hookDown === null ? [] : [['', 'down', `nothing passes until the hook has started again: ${hookDown}`]]),
    ...(carrierLost === null ? [] : [['carrier', 'down', lossText(carrierLost)]]),
    ...unlessIdle(stats, 'impair'),
    ...(stats.impairedBy === 'faults' ? [['', 'by rules', 'this kernel has no netem']] : []),
    ...unlessIdle(stats, 'behind'),
    ...(stats.stray > 0
      ? [['stray', `${stats.stray} packets`, 'sent past the TC egress, or unmarked behind it: not looped']]
      : []),
    ['poll', ...worded(stats, 'poll', 'stats')],
    ['accounting', `${sums.in} in`, `${sums.out} out`, verdict(stats)],
  ];
  return [
    `${printable(stats.interface + where)}: ${stats.state}, ${stats.backend} through ${stats.attach}, process ${stats.pid}`,
    ...table(rows.map((row) => ['  ' + row[0], ...row.slice(1)])),
  ];
}
