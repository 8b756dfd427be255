// SPDX-License-Identifier: MIT
/** `vnet-bpf stats`. */
import { BpfError } from 'libbpf-ts';

import { requireAttachment } from '../controller/detach';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { law, readStats, type Stats } from '../datapath/stats';
import { usageError, VnetError } from '../errors';
import { allAttachments, type Attachment } from '../state/store';
import { bytes, print, printJson, reportError, table } from './output';

interface StatsArguments {
  iface: string | undefined;
  netns: string | undefined;
  json: boolean;
  check: boolean;
  watch: string | undefined;
}

export async function statsCommand(args: StatsArguments): Promise<void> {
  const watchMs = args.watch === undefined ? 0 : watchInterval(args.watch);
  if (args.iface !== undefined) checkInterfaceName(args.iface);
  if (args.netns !== undefined) checkNetnsName(args.netns);
  requirePrivileges();
  for (;;) {
    const readings = selected(args).flatMap((attachment) => readIfWhole(attachment, args));
    if (args.json) printJson(args.iface === undefined ? readings : readings[0]);
    else print(readings.map(asText).join('\n\n') || 'nothing is attached; vnet-bpf attach vnet0 does it');
    if (args.check) readings.forEach(requireBalance);
    if (watchMs === 0) return;
    await new Promise((resolve) => setTimeout(resolve, watchMs));
    if (!args.json) print('');
  }
}

function selected(args: StatsArguments): Attachment[] {
  if (args.iface !== undefined) return [requireAttachment(args.iface, args.netns ?? null)];
  const all = allAttachments();
  return args.netns === undefined ? all : all.filter((attachment) => attachment.netns.name === args.netns);
}

/** Among several, one whose pins are gone (killed half-way) must not hide the others. */
function readIfWhole(attachment: Attachment, args: StatsArguments): Stats[] {
  try {
    return [readStats(attachment)];
  } catch (cause) {
    if (!(cause instanceof BpfError) || cause.errnoName !== 'ENOENT') throw cause;
    const what = `stats of ${attachment.iface}`;
    const why = 'its counters are not there: it is being attached or detached, or a killed command left it half-made';
    const error = new VnetError('STATE', what, why, { hint: `vnet-bpf detach ${attachment.iface} removes what is left`, cause });
    if (args.iface !== undefined) throw error;
    process.exitCode = reportError(error, false);
    return [];
  }
}

function watchInterval(text: string): number {
  const seconds = text === '' ? 1 : Number(text);
  if (!(seconds >= 0.1 && seconds <= 86400)) {
    throw usageError(`--watch "${text}"`, 'is not a number of seconds from 0.1 to 86400', 'such as --watch 2; without a number it is 1');
  }
  return seconds * 1000;
}

function requireBalance(stats: Stats): void {
  const sums = law(stats);
  if (sums.balanced) return;
  throw new VnetError(
    'STATE',
    `the law of the loop on ${stats.interface}`,
    `${sums.in} frames went in, ${sums.out} are accounted for (${sums.out - sums.in >= 0 ? '+' : ''}${sums.out - sums.in})`,
    { hint: 'it holds at rest: look again when there is no traffic' },
  );
}

/** The readable form: what went in, what came out, and why the rest did not. */
export function asText(stats: Stats): string {
  const { queue, held, refused, hooks, poll } = stats;
  const sums = law(stats);
  const reasons = Object.entries(refused).filter(([, count]) => count > 0);
  const where = stats.netns === null ? '' : ` in ${stats.netns}`;
  const rows = [
    ['tx', `${stats.tx.packets} packets`, `${stats.tx.bytes} bytes`],
    ['rx', `${stats.rx.packets} packets`, `${stats.rx.bytes} bytes`, `largest frame ${queue.largestFrame} bytes`],
    ['queue', `${queue.packets} packets`, `${bytes(queue.usedBytes)} of ${bytes(queue.capacityBytes)}`, `wakes at ${bytes(queue.lowWatermarkBytes)}`],
    ['', `${queue.stops} stops`, `${queue.wakes} wakes`, queue.stopped ? 'stopped now' : 'running'],
    ['held', `${held.now} packets`, `${held.total} in all`, `${held.dropped} lost`],
    ['refused', reasons.length === 0 ? 'none' : reasons.map(([name, count]) => `${name} ${count}`).join(', ')],
    ...(hooks.dropped + hooks.injected + hooks.errors > 0 ? [['hooks', `${hooks.dropped} dropped`, `${hooks.injected} injected`, `${hooks.errors} errors`]] : []),
    ...(stats.stray > 0 ? [['stray', `${stats.stray} packets`, 'sent past the egress hook, not looped']] : []),
    ['poll', `${poll.polls} polls`, `${poll.budgetExhausted} used the budget up`, `${poll.sleeps} sleeps, ${poll.wakeups} wake-ups`],
    ['law', `${sums.in} in`, `${sums.out} out`, sums.balanced ? 'balanced' : 'frames in flight, or lost'],
  ];
  return `${stats.interface}${where}: ${stats.state}, ${stats.backend} through ${stats.attach}, process ${stats.pid}\n${table(rows.map((row) => ['  ' + row[0], ...row.slice(1)]))}`;
}
