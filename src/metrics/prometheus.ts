// SPDX-License-Identifier: MIT
/** The metrics: what each number of `stats --json` is called, and readings in the Prometheus text format, version 0.0.4. */
import * as fs from 'node:fs';

import { type AttachmentStatus, type Stats, statsIfThere } from '../datapath/stats';
import { shownNetns } from '../link/netns-record';
import { programVersion } from '../native/node';
import { printable } from '../printable';
import type { Attachment } from '../state/store';

// What each number of `stats --json` is called among metrics. Names and units are Prometheus' own conventions:
// counters end in `_total`, gauges do not. The type asks for every number there is, so a new one cannot be forgotten.

export interface Metric {
  name: string;
  kind: 'counter' | 'gauge';
  help: string;
  /** Several numbers that are one metric are told apart by it. */
  reason?: string;
}

type Numbers<T> = { [K in keyof T & string]: NonNullable<T[K]> extends string ? never : K }[keyof T & string];
/** `tx.packets`, `stray`; all of `refused` is one metric, whatever reasons a version adds. */
export type NumberPath = {
  [K in Numbers<Stats>]: K extends 'refused' ? K : Stats[K] extends object ? `${K}.${keyof Stats[K] & string}` : K;
}[Numbers<Stats>];

const counter = (name: string, help: string, reason?: string): Metric => ({
  name: `vnet_bpf_${name}_total`,
  kind: 'counter',
  help,
  ...(reason === undefined ? {} : { reason }),
});
const gauge = (name: string, help: string): Metric => ({ name: `vnet_bpf_${name}`, kind: 'gauge', help });

const LOST_ON_THE_WAY = 'Frames that ended behind the transmit hook: dropped by a hook or the debugger, lost while they waited, or lost to an impairment.';

export const METRICS: Readonly<Record<NumberPath, Metric>> = {
  'tx.packets': counter('tx_packets', 'Frames that reached the transmit hook, refused ones included.'),
  'tx.bytes': counter('tx_bytes', 'Bytes of the frames that reached the transmit hook.'),
  'rx.packets': counter('rx_packets', 'Frames that came back.'),
  'rx.bytes': counter('rx_bytes', 'Bytes of the frames that came back.'),
  'queue.capacityBytes': gauge('queue_capacity_bytes', 'Size of the ring buffer.'),
  'queue.usedBytes': gauge('queue_used_bytes', 'Bytes in the ring buffer now.'),
  'queue.packets': gauge('queue_packets', 'Frames in the queue now.'),
  'queue.capacityPackets': gauge('queue_capacity_packets', 'Limit of the queue in frames; absent where there is none.'),
  'queue.lowWatermarkBytes': gauge('queue_low_watermark_bytes', 'A stopped queue wakes at or below this.'),
  'queue.stopped': gauge('queue_stopped', 'Whether the queue is stopped now.'),
  'queue.stops': counter('queue_stops', 'How often the queue stopped.'),
  'queue.wakes': counter('queue_wakes', 'How often the queue woke.'),
  'queue.queues': gauge('queues', 'Queues that the interface has.'),
  'queue.largestFrame': gauge('largest_frame_bytes', 'Largest frame seen.'),
  'held.now': gauge('held_now_packets', 'Frames that wait for room now.'),
  'held.total': counter('held_packets', 'Frames that ever had to wait for room.'),
  'held.dropped': counter('dropped_packets', LOST_ON_THE_WAY, 'held'),
  'held.again': counter('held_again_packets', 'Frames that had to wait a second time; anything but 0 is a bug.'),
  'held.grants': counter('held_grants', 'How often waiting frames were given room.'),
  refused: counter('refused_packets', 'Frames that did not come back, by reason.'),
  'hooks.dropped': counter('dropped_packets', LOST_ON_THE_WAY, 'hook'),
  'hooks.injected': counter('injected_packets', 'Frames that a hook, the debugger or the library made.'),
  'hooks.errors': counter('hook_errors', 'Errors and wrong answers of hooks.'),
  'poll.polls': counter('polls', 'Polls of the ring.'),
  'poll.budgetExhausted': counter('poll_budget_exhausted', 'Polls that found more than the budget.'),
  'poll.sleeps': counter('poll_sleeps', 'How often the poller slept.'),
  'poll.wakeups': counter('poll_wakeups', 'How often a frame woke the poller.'),
  'poll.lostWakeups': counter('poll_lost_wakeups', 'Frames found by time-out that nobody had announced; anything but 0 is a bug.'),
  'poll.merged': counter('merged_packets', "Frames that crossed back as part of another's packet."),
  'reinject.retries': counter('reinject_retries', 'Sends that were tried again because the kernel had no room just then.'),
  'reinject.errors': counter('reinject_errors', 'Frames that the kernel would never take.'),
  'impair.lost': counter('dropped_packets', LOST_ON_THE_WAY, 'impair'),
  'impair.waiting': gauge('impair_waiting_packets', 'Frames that an impairment delays now.'),
  'impair.duplicated': counter('impair_duplicated_packets', 'Frames that came back more often than they were sent.'),
  'behind.missing': gauge('behind_missing_segments', 'Frames that the transmit hook let go and that the hidden peer has not seen: on their way, dropped or sent elsewhere by others.'),
  'behind.copies': gauge('behind_copied_segments', 'Frames that the hidden peer saw beyond those that the transmit hook let go.'),
  'behind.lost': gauge('behind_lost_packets', 'Of the missing, those that do not come back: superpackets that the kernel was to cut up.'),
  stray: counter('stray_packets', 'Frames that reached the hidden peer without our mark: sent past the transmit hook, or others erased it.'),
  pid: gauge('controller_pid', 'Process of the controller.'),
};

/** What is not a number in `stats --json`. */
export const INFO: Metric = gauge('info', 'Version, back end and kind of attachment.');
export const STATE: Metric = gauge('state', 'The state of the interface: 1 for the one that it is in.');

// A reading as samples: a metric, its labels, its value.

/** One interface at one time. */
export interface Reading {
  stats: Stats;
  /** The label of its namespace, which also tells those without a name apart. */
  netns: string;
}

export interface Sample {
  metric: Metric;
  labels: Readonly<Record<string, string>>;
  value: number;
}

const STATES = Object.keys({ running: 1, stopped: 1, detached: 1, crashed: 1 } satisfies Record<AttachmentStatus, 1>);

/** In the order in which they are defined. */
export function samples({ stats, netns }: Reading, version: string): Sample[] {
  const who = { interface: stats.interface, netns };
  const { backend, attach, state } = stats;
  const numbers = (Object.keys(METRICS) as NumberPath[]).flatMap((path) => {
    const metric = METRICS[path];
    const { reason } = metric;
    const found = valueAt(stats, path);
    if (typeof found === 'object') {
      return Object.entries(found ?? {}).map(([name, value]) => ({ metric, labels: { ...who, reason: name }, value }));
    }
    return [{ metric, labels: reason === undefined ? who : { ...who, reason }, value: Number(found) }];
  });
  return [
    { metric: INFO, labels: { ...who, version, backend, attach }, value: 1 },
    ...STATES.map((name) => ({ metric: STATE, labels: { ...who, state: name }, value: Number(name === state) })),
    ...numbers,
  ];
}

type Found = number | boolean | null | Record<string, number>;

/** Null where there is no such limit. */
function valueAt(stats: Stats, path: NumberPath): Found {
  return path.split('.').reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], stats) as Found;
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** What a terminal would obey is made visible first; then the format's own escapes. */
const escaped = (value: string): string => printable(value).replace(/[\\"]/g, '\\$&');

function line({ metric, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`);
  return `${metric.name}{${pairs.join()}} ${value}`;
}

/** Each metric with its head, whether or not there are samples of it. */
export function prometheusText(readings: readonly Reading[], version: string): string {
  const blocks = new Map<string, string[]>();
  for (const { name, help, kind } of [INFO, STATE, ...Object.values(METRICS)]) {
    if (!blocks.has(name)) blocks.set(name, [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]);
  }
  for (const sample of readings.flatMap((reading) => samples(reading, version))) blocks.get(sample.metric.name)?.push(line(sample));
  return [...blocks.values()].map((lines) => `${lines.join('\n')}\n`).join('\n');
}

/** The same, of this version: `stats --prometheus` and `attach --metrics`. */
export const metricsText = (readings: readonly Reading[]): string => prometheusText(readings, programVersion());

// Readings of attachments, with the label that tells their namespaces apart.

/** Its name; nothing for the namespace that the machine began with; `net:[4026532281]` for others without a name. Two that are gone may have had the same. */
function netnsLabel({ id, netns, pid }: Attachment): string {
  const { name, gone } = shownNetns(netns, pid);
  const label = name ?? (fs.statSync('/proc/1/ns/net').ino === netns.inode && !gone ? '' : `net:[${netns.inode}]`);
  return gone ? `${label} (gone, ${id})` : label;
}

export const readingOf = (attachment: Attachment, stats: Stats): Reading => ({ stats, netns: netnsLabel(attachment) });

/** Readings of those whose counters are still there. */
export function readings(attachments: readonly Attachment[]): Reading[] {
  return attachments.flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    return stats === null ? [] : [readingOf(attachment, stats)];
  });
}
