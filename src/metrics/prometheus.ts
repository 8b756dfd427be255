// SPDX-License-Identifier: MIT
/**
 * Readings in the Prometheus text format, version 0.0.4. Each number of `stats --json` is a metric by its row of
 * COUNTERS (src/datapath/stats.ts), where a new one is added.
 */
import * as fs from 'node:fs';

import {
  type AttachmentStatus,
  type Counter,
  COUNTERS,
  type NumberPath,
  type Stats,
  statsIfThere,
} from '../datapath/stats';
import { shownNetns } from '../link/netns-record';
import { programVersion } from '../native/node';
import { printable } from '../printable';
import type { Attachment } from '../state/store';

export interface Metric {
  name: string;
  kind: 'counter' | 'gauge';
  help: string;
  /** It distinguishes several numbers of one metric. */
  reason?: string;
}

/** Prometheus' own convention: counters end in `_total`, gauges do not. */
const metricOf = ({ metric, kind, help, reason }: Pick<Counter, 'metric' | 'kind' | 'help' | 'reason'>): Metric => ({
  name: `vnet_bpf_${metric}${kind === 'counter' ? '_total' : ''}`,
  kind,
  help,
  ...(reason === undefined ? {} : { reason }),
});

export const METRICS = Object.fromEntries(
  Object.entries(COUNTERS).map(([path, counter]) => [path, metricOf(counter)]),
) as Readonly<Record<NumberPath, Metric>>;

/** What is not a number in `stats --json`. */
export const INFO = metricOf({ kind: 'gauge', metric: 'info', help: 'Version, back end and kind of attachment.' });
export const STATE = metricOf({
  kind: 'gauge',
  metric: 'state',
  help: 'The state of the interface: 1 for the one that it is in.',
});

// A reading as samples: a metric, its labels, its value.

/** One interface at one time. */
export interface Reading {
  stats: Stats;
  /** The label of its namespace, which also distinguishes namespaces without a name. */
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
  for (const sample of readings.flatMap((reading) => samples(reading, version)))
    blocks.get(sample.metric.name)?.push(line(sample));
  return [...blocks.values()].map((lines) => `${lines.join('\n')}\n`).join('\n');
}

/** The same, of this version: `stats --prometheus` and `attach --metrics`. */
export const metricsText = (readings: readonly Reading[]): string => prometheusText(readings, programVersion());

// Readings of attachments, with the label that distinguishes their namespaces.

/**
 * The name of a namespace; empty for the initial one, `net:[4026532281]` for others without a name. Two that are gone
 * may have had the same name.
 */
function netnsLabel({ id, netns, pid }: Attachment): string {
  const { name, gone } = shownNetns(netns, pid);
  const label = name ?? (fs.statSync('/proc/1/ns/net').ino === netns.inode && !gone ? '' : `net:[${netns.inode}]`);
  return gone ? `${label} (gone, ${id})` : label;
}

export const readingOf = (attachment: Attachment, stats: Stats): Reading => ({ stats, netns: netnsLabel(attachment) });

/** Readings of attachments whose counters still exist. */
export function readings(attachments: readonly Attachment[]): Reading[] {
  return attachments.flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    return stats === null ? [] : [readingOf(attachment, stats)];
  });
}
