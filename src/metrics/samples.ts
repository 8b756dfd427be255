// SPDX-License-Identifier: MIT
/** A reading as samples: a metric, its labels, its value. */
import type { AttachmentStatus, Stats } from '../datapath/stats';
import { INFO, METRICS, STATE, type Metric, type NumberPath } from './definitions';

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
