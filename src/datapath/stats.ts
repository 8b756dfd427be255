// SPDX-License-Identifier: MIT
/**
 * One reading of all counters of an attachment, and the frame accounting. It reads the pinned maps, so it works with or
 * without a controller.
 */
import * as path from 'node:path';

import { BpfError, BpfMap, ringUsage } from 'libbpf-ts';

import { CONTROL, COUNTERS, REFUSALS as TX_REFUSALS } from '../layout';
import { shownNetns } from '../link/netns-record';
import { ringPin, visiblePins } from '../state/bpffs';
import { type Attachment, isControlled } from '../state/store';
import { POLLER_REFUSALS, type Refusal, REFUSALS } from './outcomes';
import { QueueControls } from './queue-gate';
import { readWayBack, type WayBack } from './reinject-accounting';

export type AttachmentStatus = 'running' | 'stopped' | 'detached' | 'crashed';

/** The document of `vnet-bpf stats --json`; every number is an integer, and the sum of all queues where there are several. */
export interface Stats {
  interface: string;
  netns: string | null;
  backend: 'veth' | 'dummy';
  attach: 'tcx' | 'clsact';
  state: AttachmentStatus;
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
  hooks: { dropped: number; injected: number; errors: number };
  poll: { polls: number; budgetExhausted: number; sleeps: number; wakeups: number; lostWakeups: number; merged: number };
  reinject: { retries: number; errors: number };
  /** What `vnet-bpf impair` did to frames on the reinject path. */
  impair: WayBack['impair'];
  /** What became of the frames that `tx` let go on to the peer; in segments, where the kernel may have cut them up. */
  behind: BehindTx;
  /** Frames that reached the peer without our mark: from senders that bypass the egress hook, or others erased it. */
  stray: number;
}

export type { Refusal };

/** Those of struct counters that are one number. */
const PLAIN_COUNTERS = ['txPackets', 'txBytes', 'stray', 'originalsSent', 'originalsArrived', 'cutSent', 'cutArrived'] as const;

export interface BehindTx {
  /** Not seen by the peer: on their way, or dropped or sent elsewhere by somebody's program, filter or qdisc, or by the kernel. */
  missing: number;
  /** Seen by the peer beyond what `tx` let go: copies. */
  copies: number;
  /** Of the missing, those that `tx` had not captured: superpackets to be cut up. Held ones are in `held`. */
  lost: number;
}

type KernelCounters = Record<(typeof PLAIN_COUNTERS)[number], number> & { refused: number[] };

/** Sums the per-CPU values of struct counters. */
export function sumCounters(perCpu: readonly Uint8Array[]): KernelCounters {
  const zeros = Object.fromEntries(PLAIN_COUNTERS.map((name) => [name, 0])) as Record<(typeof PLAIN_COUNTERS)[number], number>;
  const sum: KernelCounters = { ...zeros, refused: TX_REFUSALS.map(() => 0) };
  for (const cpu of perCpu) {
    const words = new DataView(cpu.buffer, cpu.byteOffset, cpu.byteLength);
    const at = (offset: number): number => Number(words.getBigUint64(offset, true));
    for (const name of PLAIN_COUNTERS) sum[name] += at(COUNTERS[name]);
    for (let i = 0; i < TX_REFUSALS.length; i++) sum.refused[i] = (sum.refused[i] as number) + at(COUNTERS.refused + 8 * i);
  }
  return sum;
}

/** By what `tx` has sent and `sink` has seen of each kind: captured, to be cut, held. */
export function judgeBehind(kernel: Pick<KernelCounters, 'originalsSent' | 'originalsArrived' | 'cutSent' | 'cutArrived'>, heldSent: number, heldArrived: number): BehindTx {
  const cut = kernel.cutSent - kernel.cutArrived;
  const missing = [kernel.originalsSent - kernel.originalsArrived, cut, heldSent - heldArrived];
  const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + Math.max(0, value), 0);
  return { missing: sumOf(missing), copies: sumOf(missing.map((value) => -value)), lost: Math.max(0, cut) };
}

function usedBytes({ queues }: Attachment, pins: string): number {
  let bytes = 0;
  for (let queue = 0; queue < queues; queue++) {
    using map = BpfMap.openPinned(path.join(pins, ringPin(queue)));
    bytes += ringUsage(map);
  }
  return bytes;
}

/** Frames refused by each reason: by the programs, in a backlog, by the poller and with it what a change of the link has lost. */
export function refusedBy(byTx: readonly number[], backlog: number, at: (counter: number) => number, lostByChange: Partial<Record<Refusal, number>>): Record<Refusal, number> {
  const counts = Object.fromEntries(Object.keys(REFUSALS).map((name) => [name, 0])) as Record<Refusal, number>;
  TX_REFUSALS.forEach((name, i) => (counts[name] = byTx[i] as number));
  counts.backlog = backlog;
  for (const { name, counter } of POLLER_REFUSALS) counts[name] = at(counter) + (lostByChange[name] ?? 0);
  return counts;
}

/** One reading of everything; at rest the frame accounting balances. */
export function readStats(attachment: Attachment): Stats {
  const pins = visiblePins(attachment);
  using control = BpfMap.openPinned(path.join(pins, 'control'));
  using counters = BpfMap.openPinned(path.join(pins, 'counters'));
  using queues = new QueueControls(control);
  const at = (offset: number): number => queues.sum(offset);

  const kernel = sumCounters(counters.getPerCpu(new Uint8Array(4)) ?? []);
  const { received, backlog, impair } = readWayBack(attachment, queues);
  const { stopped, held } = queues;
  const behind = judgeBehind(kernel, at(CONTROL.heldSegments), at(CONTROL.heldArrived));
  const controlled = isControlled(attachment);
  const refused = refusedBy(kernel.refused, backlog, at, attachment.lostByChange);
  return {
    interface: attachment.iface,
    netns: shownNetns(attachment.netns, attachment.pid).name,
    backend: attachment.backend,
    attach: attachment.attach,
    state: !controlled ? 'crashed' : stopped ? 'stopped' : 'running',
    pid: attachment.pid,
    tx: { packets: kernel.txPackets + held.added + behind.lost, bytes: kernel.txBytes },
    rx: { packets: received, bytes: at(CONTROL.rxBytes) },
    queue: {
      queues: attachment.queues,
      capacityBytes: attachment.queues * attachment.ringBytes,
      usedBytes: usedBytes(attachment, pins),
      packets: at(CONTROL.captured) - at(CONTROL.drained),
      capacityPackets: attachment.queues * attachment.queuePackets || null,
      lowWatermarkBytes: attachment.queues * attachment.lowWatermarkBytes,
      stopped,
      stops: at(CONTROL.stops),
      wakes: at(CONTROL.wakesTx) + at(CONTROL.wakesPoller),
      largestFrame: queues.max(CONTROL.largestFrame),
    },
    held: {
      now: held.now,
      total: held.total,
      dropped: held.dropped,
      again: at(CONTROL.heldAgain),
      grants: at(CONTROL.grants),
    },
    refused,
    hooks: { dropped: at(CONTROL.hooksDropped), injected: at(CONTROL.hooksInjected), errors: at(CONTROL.hooksErrors) },
    poll: {
      polls: at(CONTROL.polls),
      budgetExhausted: at(CONTROL.budgetExhausted),
      sleeps: at(CONTROL.sleeps),
      wakeups: at(CONTROL.wakeups),
      lostWakeups: at(CONTROL.lostWakeups),
      merged: at(CONTROL.merged),
    },
    reinject: { retries: at(CONTROL.reinjectRetries), errors: at(CONTROL.reinjectErrors) },
    impair: { ...impair, lost: impair.lost + at(CONTROL.impairOverflow) },
    behind,
    stray: kernel.stray,
  };
}

const sum = (values: Record<string, number>): number => Object.values(values).reduce((a, b) => a + b, 0);

/** The frame accounting of a reading: both sides, equal at rest. */
export function law(stats: Stats): { in: number; out: number; balanced: boolean } {
  const { tx, rx, queue, held, refused, hooks, impair, behind } = stats;
  const entered = tx.packets + hooks.injected + impair.duplicated;
  const left = rx.packets + queue.packets + held.now + held.dropped + behind.lost + sum(refused) + hooks.dropped + impair.waiting + impair.lost;
  return { in: entered, out: left, balanced: entered === left };
}

/** Frames that ended behind `tx` though the loop refused none of them, by the counter that has them; only those that there are. */
export function lostBehind({ held, behind, stray }: Stats): [string, number][] {
  const counts: [string, number][] = [
    ['held.dropped', held.dropped],
    ['behind.lost', behind.lost],
    ['stray', stray],
  ];
  return counts.filter(([, count]) => count > 0);
}

// For callers that read repeatedly while interfaces come and go.

/** Whether counters could not be read because they are not there: being attached or detached, or left half-made by a kill. */
export const countersAreMissing = (error: unknown): boolean => error instanceof BpfError && error.errnoName === 'ENOENT';

/** Null while they are not there. */
export function statsIfThere(attachment: Attachment): Stats | null {
  try {
    return readStats(attachment);
  } catch (error) {
    if (countersAreMissing(error)) return null;
    throw error;
  }
}
