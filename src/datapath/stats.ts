// SPDX-License-Identifier: MIT
/**
 * The counters (`COUNTERS`), one reading of all of them, and the frame accounting. A reading comes from the pinned
 * maps, so it works with or without a controller.
 */
import * as path from 'node:path';

import { BpfError, BpfMap, ringUsage } from 'libbpf-ts';

import { CONTROL } from '../layout';
import { shownNetns } from '../link/netns-record';
import { ringPin, visiblePins } from '../state/bpffs';
import { type Attachment, conditionOf, impairedBy } from '../state/store';
import { type BehindTx, judgeBehind, type KernelCounters, refusedBy, sumCounters } from './kernel-counters';
import type { Refusal } from './outcomes';
import { type HeldFrames, QueueControls } from './queue-gate';
import { readReinjectAccounting, type Reinjected } from './reinject-accounting';

export type AttachmentStatus = 'running' | 'stopped' | 'detached' | 'crashed';

/** The document of `vnet-bpf stats --json`. Every number is an integer; counts are summed over all queues. */
export interface Stats {
  interface: string;
  netns: string | null;
  backend: 'veth' | 'dummy';
  attach: 'tcx' | 'clsact';
  state: AttachmentStatus;
  /** What does an impairment: the kernel's netem, or, without it, rules of faults. Null without an impairment. */
  impairedBy: 'netem' | 'faults' | null;
  pid: number;
  tx: { packets: number; bytes: number };
  rx: { packets: number; bytes: number };
  queue: {
    queues: number;
    capacityBytes: number;
    usedBytes: number;
    packets: number;
    capacityPackets: number | null;
    lowWatermarkBytes: number;
    stopped: boolean;
    stops: number;
    wakes: number;
    largestFrame: number;
  };
  held: { now: number; total: number; dropped: number; again: number; grants: number };
  refused: Record<Refusal, number>;
  hooks: { dropped: number; injected: number; errors: number; delayed: number; waiting: number; lost: number };
  poll: {
    polls: number;
    budgetExhausted: number;
    sleeps: number;
    wakeups: number;
    lostWakeups: number;
    merged: number;
  };
  reinject: { retries: number; errors: number };
  /** What `vnet-bpf impair` did to frames on the reinject path. */
  impair: Reinjected['impair'];
  /** What became of the frames that `tx` passed on to the peer, in segments: the kernel may have segmented them. */
  behind: BehindTx;
  /** Frames that reached the peer without our mark: they bypassed the TC egress, or another program erased the mark. */
  stray: number;
}

export type { Refusal };

function usedBytes({ attachment, pins }: Source): number {
  let bytes = 0;
  for (let queue = 0; queue < attachment.queues; queue++) {
    using map = BpfMap.openPinned(path.join(pins, ringPin(queue)));
    bytes += ringUsage(map);
  }
  return bytes;
}

// The counters, one row each.

/** The sources of a reading. */
interface Source {
  attachment: Attachment;
  /** Directory of its pinned maps. */
  pins: string;
  queues: QueueControls;
  stopped: boolean;
  held: HeldFrames;
  kernel: KernelCounters;
  reinjected: Reinjected;
  behind: BehindTx;
}

/** An offset in struct control, whose values are summed over the queues, or a function that computes the number. */
type From<Value> = number | ((source: Source) => Value);

interface Shown {
  /** Distinguishes several numbers of one metric. */
  reason?: string;
  /**
   * The words after the number, in its group's line of `stats` and in the detail of `top`. Without words it is not
   * shown there. If they end in a comma, the next number shares the column.
   */
  stats?: string;
  top?: string;
}

export interface Counter<Value = unknown> extends Shown {
  kind: 'counter' | 'gauge';
  /** The metric, without `vnet_bpf_` and `_total`. */
  metric: string;
  help: string;
  from: From<Value>;
}

const rowOf =
  (kind: Counter['kind']) =>
  <Value>(metric: string, help: string, from: From<Value>, shown: Shown = {}): Counter<Value> => ({
    kind,
    metric,
    help,
    from,
    ...shown,
  });
const counter = rowOf('counter');
const gauge = rowOf('gauge');

type Numbers<T> = { [K in keyof T & string]: NonNullable<T[K]> extends string ? never : K }[keyof T & string];
/** The path of a number, such as `tx.packets` or `stray`; `refused` counts as one. */
export type NumberPath = {
  [K in Numbers<Stats>]: K extends 'refused' ? K : Stats[K] extends object ? `${K}.${keyof Stats[K] & string}` : K;
}[Numbers<Stats>];
type ValueAt<P extends NumberPath> = P extends keyof Stats
  ? Stats[P]
  : P extends `${infer Group extends keyof Stats}.${infer Name}`
    ? Stats[Group][Name & keyof Stats[Group]]
    : never;

const LOST_ON_THE_WAY =
  'Frames lost after the TC egress: dropped by a hook or the debugger, lost while they waited, or lost to an impairment.';

/**
 * The counters by their path in `stats --json`; the type requires one for every number of Stats. Metrics are in this
 * order, with names that follow Prometheus's conventions; docs/metrics.md has a row for each.
 */
export const COUNTERS: { readonly [P in NumberPath]: Counter<ValueAt<P>> } = {
  'tx.packets': counter(
    'tx_packets',
    'Frames that reached the TC egress, refused ones included.',
    ({ kernel, held, behind }) => kernel.txPackets + held.added + behind.lost,
  ),
  'tx.bytes': counter('tx_bytes', 'Bytes of the frames that reached the TC egress.', ({ kernel }) => kernel.txBytes),
  'rx.packets': counter('rx_packets', 'Frames that came back.', ({ reinjected }) => reinjected.received),
  'rx.bytes': counter('rx_bytes', 'Bytes of the frames that came back.', CONTROL.rxBytes),
  'queue.capacityBytes': gauge(
    'queue_capacity_bytes',
    'Size of the ring buffer.',
    ({ attachment }) => attachment.queues * attachment.ringBytes,
  ),
  'queue.usedBytes': gauge('queue_used_bytes', 'Bytes in the ring buffer now.', usedBytes),
  'queue.packets': gauge(
    'queue_packets',
    'Frames in the queue now.',
    ({ queues }) => queues.sum(CONTROL.captured) - queues.sum(CONTROL.drained),
  ),
  'queue.capacityPackets': gauge(
    'queue_capacity_packets',
    'Limit of the queue in frames; absent where there is none.',
    ({ attachment }) => attachment.queues * attachment.queuePackets || null,
  ),
  'queue.lowWatermarkBytes': gauge(
    'queue_low_watermark_bytes',
    'A stopped queue wakes at or below this.',
    ({ attachment }) => attachment.queues * attachment.lowWatermarkBytes,
  ),
  'queue.stopped': gauge('queue_stopped', 'Whether the queue is stopped now.', ({ stopped }) => stopped),
  'queue.stops': counter('queue_stops', 'How often the queue stopped.', CONTROL.stops),
  'queue.wakes': counter(
    'queue_wakes',
    'How often the queue woke.',
    ({ queues }) => queues.sum(CONTROL.wakesTx) + queues.sum(CONTROL.wakesPoller),
  ),
  'queue.queues': gauge('queues', 'Queues that the interface has.', ({ attachment }) => attachment.queues),
  'queue.largestFrame': gauge('largest_frame_bytes', 'Largest frame seen.', ({ queues }) =>
    queues.max(CONTROL.largestFrame),
  ),
  'held.now': gauge('held_now_packets', 'Frames that wait for space now.', ({ held }) => held.now, {
    stats: 'packets',
    top: 'now',
  }),
  'held.total': counter('held_packets', 'Frames that ever had to wait for space.', ({ held }) => held.total, {
    stats: 'in all',
    top: 'in all',
  }),
  'held.dropped': counter('dropped_packets', LOST_ON_THE_WAY, ({ held }) => held.dropped, {
    reason: 'held',
    stats: 'lost',
    top: 'lost',
  }),
  'held.again': counter(
    'held_again_packets',
    'Frames requeued into the waiting room; anything but 0 is a bug.',
    CONTROL.heldAgain,
  ),
  'held.grants': counter('held_grants', 'How often waiting frames were granted space.', CONTROL.grants),
  refused: counter(
    'refused_packets',
    'Frames that did not come back, by reason.',
    ({ kernel, reinjected, queues, attachment }) =>
      refusedBy(kernel.refused, reinjected.backlog, (offset) => queues.sum(offset), attachment.lostByChange),
  ),
  'hooks.dropped': counter('dropped_packets', LOST_ON_THE_WAY, ({ reinjected }) => reinjected.hooks.dropped, {
    reason: 'hook',
    stats: 'dropped',
  }),
  'hooks.injected': counter(
    'injected_packets',
    'Frames that a hook, the debugger or the library made.',
    ({ reinjected }) => reinjected.hooks.injected,
    { stats: 'injected', top: 'injected' },
  ),
  'hooks.errors': counter('hook_errors', 'Errors and wrong answers of hooks.', CONTROL.hooksErrors, {
    stats: 'errors',
    top: 'errors',
  }),
  'hooks.delayed': counter('hook_delayed_packets', 'Frames that a hook or faults delayed.', CONTROL.hooksDelayed, {
    stats: 'delayed',
    top: 'delayed',
  }),
  'hooks.waiting': gauge(
    'hook_waiting_packets',
    'Delayed frames that wait now.',
    ({ reinjected }) => reinjected.hooks.waiting,
    { stats: 'waiting', top: 'waiting' },
  ),
  'hooks.lost': counter('dropped_packets', LOST_ON_THE_WAY, CONTROL.hooksLost, {
    reason: 'hook-waiting',
    stats: 'lost while they waited',
    top: 'lost',
  }),
  'poll.polls': counter('polls', 'Polls of the ring.', CONTROL.polls, { stats: 'polls', top: 'polls' }),
  'poll.budgetExhausted': counter(
    'poll_budget_exhausted',
    'Polls that found more than the budget.',
    CONTROL.budgetExhausted,
    { stats: 'used the budget up', top: 'over budget' },
  ),
  'poll.sleeps': counter('poll_sleeps', 'How often the poller slept.', CONTROL.sleeps, {
    stats: 'sleeps,',
    top: 'sleeps',
  }),
  'poll.wakeups': counter('poll_wakeups', 'How often a frame woke the poller.', CONTROL.wakeups, {
    stats: 'wake-ups',
    top: 'wake-ups',
  }),
  'poll.lostWakeups': counter(
    'poll_lost_wakeups',
    'Frames found by time-out that nobody had announced; anything but 0 is a bug.',
    CONTROL.lostWakeups,
    { top: 'lost wake-ups' },
  ),
  'poll.merged': counter('merged_packets', "Frames that crossed back as part of another's packet.", CONTROL.merged, {
    top: 'merged',
  }),
  'reinject.retries': counter(
    'reinject_retries',
    'Sends that were tried again because the kernel lacked space just then.',
    CONTROL.reinjectRetries,
    { top: 'send retries' },
  ),
  'reinject.errors': counter('reinject_errors', 'Frames that the kernel would never take.', CONTROL.reinjectErrors),
  'impair.waiting': gauge(
    'impair_waiting_packets',
    'Frames that an impairment delays now.',
    ({ reinjected }) => reinjected.impair.waiting,
    { stats: 'waiting' },
  ),
  'impair.lost': counter(
    'dropped_packets',
    LOST_ON_THE_WAY,
    ({ reinjected, queues }) => reinjected.impair.lost + queues.sum(CONTROL.impairOverflow),
    { reason: 'impair', stats: 'lost' },
  ),
  'impair.duplicated': counter(
    'impair_duplicated_packets',
    'Frames that came back more often than they were sent.',
    ({ reinjected }) => reinjected.impair.duplicated,
    { stats: 'duplicated' },
  ),
  'behind.missing': gauge(
    'behind_missing_segments',
    'Frames that passed the TC egress and that the peer has not seen: on their way, or dropped or redirected by others.',
    ({ behind }) => behind.missing,
    { stats: 'missing' },
  ),
  'behind.copies': gauge(
    'behind_copied_segments',
    'Frames that the peer saw in excess of those that passed the TC egress.',
    ({ behind }) => behind.copies,
    { stats: 'copies' },
  ),
  'behind.lost': gauge(
    'behind_lost_packets',
    'Of the missing, those that will not come back: superpackets that the kernel was to segment.',
    ({ behind }) => behind.lost,
    { stats: 'lost' },
  ),
  stray: counter(
    'stray_packets',
    'Frames that reached the peer without our mark: they bypassed the TC egress, or another program erased it.',
    ({ kernel }) => kernel.stray,
  ),
  pid: gauge('controller_pid', 'Process ID of the controller.', ({ attachment }) => attachment.pid),
};

/**
 * A document of `stats --json`: its head, and the value of each counter according to `valueOf`. Fields are in the order
 * of the table, except those that the document starts with.
 */
export function documentOf(
  head: Pick<Stats, 'interface' | 'netns' | 'backend' | 'attach' | 'state' | 'impairedBy' | 'pid'>,
  valueOf: (path: NumberPath, counter: Counter) => unknown,
): Stats {
  const document: Record<string, unknown> = { ...head, tx: {}, rx: {}, queue: { queues: 0 } };
  for (const [key, row] of Object.entries(COUNTERS) as [NumberPath, Counter][]) {
    const [group, name] = key.split('.') as [string, string?];
    const value = valueOf(key, row);
    if (name === undefined) document[group] = value;
    else ((document[group] ??= {}) as Record<string, unknown>)[name] = value;
  }
  return document as unknown as Stats;
}

/** One reading of everything; at rest the frame accounting balances. */
export function readStats(attachment: Attachment): Stats {
  const pins = visiblePins(attachment);
  using control = BpfMap.openPinned(path.join(pins, 'control'));
  using counters = BpfMap.openPinned(path.join(pins, 'counters'));
  using queues = new QueueControls(control);

  const kernel = sumCounters(counters.getPerCpu(new Uint8Array(4)) ?? []);
  const reinjected = readReinjectAccounting(attachment, queues);
  const { stopped, held } = queues;
  const behind = judgeBehind(kernel, queues.sum(CONTROL.heldSegments), queues.sum(CONTROL.heldArrived));
  const source: Source = { attachment, pins, queues, stopped, held, kernel, reinjected, behind };
  const { iface, backend, attach, pid } = attachment;
  const condition = conditionOf(attachment);
  const state = condition === 'running' && stopped ? 'stopped' : condition;
  const head = {
    interface: iface,
    netns: shownNetns(attachment.netns, pid).name,
    backend,
    attach,
    state,
    pid,
    impairedBy: impairedBy(attachment.impairment),
  } as const;
  return documentOf(head, (_, { from }) => (typeof from === 'number' ? queues.sum(from) : from(source)));
}

const sum = (values: Record<string, number>): number => Object.values(values).reduce((a, b) => a + b, 0);

/** The frame accounting of a reading: both sides, equal at rest. */
export function frameAccounting(stats: Stats): { in: number; out: number; balanced: boolean } {
  const { tx, rx, queue, held, refused, hooks, impair, behind } = stats;
  const entered = tx.packets + hooks.injected + impair.duplicated;
  const left =
    rx.packets +
    queue.packets +
    held.now +
    held.dropped +
    behind.lost +
    sum(refused) +
    hooks.dropped +
    hooks.waiting +
    hooks.lost +
    impair.waiting +
    impair.lost;
  return { in: entered, out: left, balanced: entered === left };
}

/** Frames lost behind `tx` that the loop did not refuse, by counter; only counters above 0. */
export function lostBehind({ held, behind, stray }: Stats): [string, number][] {
  const counts = { 'held.dropped': held.dropped, 'behind.lost': behind.lost, stray };
  return Object.entries(counts).filter(([, count]) => count > 0);
}

// For callers that read repeatedly while interfaces come and go.

/** Whether the counters do not exist: the interface is being attached or detached, or a kill left it half-made. */
export const countersAreMissing = (error: unknown): boolean =>
  error instanceof BpfError && error.errnoName === 'ENOENT';

/** A reading; null if the counters do not exist. */
export function statsIfThere(attachment: Attachment): Stats | null {
  try {
    return readStats(attachment);
  } catch (error) {
    if (countersAreMissing(error)) return null;
    throw error;
  }
}
