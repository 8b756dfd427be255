// SPDX-License-Identifier: MIT
/** The counters of the BPF programs (struct counters), summed over the CPUs, and what follows from them. */
import { COUNTERS as TX_COUNTERS, REFUSALS as TX_REFUSALS } from '../layout';
import { POLLER_REFUSALS, type Refusal, REFUSALS } from './outcomes';

/** Those of struct counters that are one number. */
type PlainCounter = Exclude<keyof typeof TX_COUNTERS, 'refused' | 'size'>;
const PLAIN_COUNTERS = Object.keys(TX_COUNTERS).filter(
  (name): name is PlainCounter => name !== 'refused' && name !== 'size',
);

export interface BehindTx {
  /**
   * Not seen by the peer: on their way, or dropped or redirected by another program, a filter, a qdisc or the kernel.
   */
  missing: number;
  /** Seen by the peer beyond what `tx` let go: copies. */
  copies: number;
  /** Of the missing, those that `tx` had not captured: superpackets to be segmented. Held ones are in `held`. */
  lost: number;
}

export type KernelCounters = Record<PlainCounter, number> & { refused: number[] };

/** Sums the per-CPU values of struct counters. */
export function sumCounters(perCpu: readonly Uint8Array[]): KernelCounters {
  const zeros = Object.fromEntries(PLAIN_COUNTERS.map((name) => [name, 0])) as Record<PlainCounter, number>;
  const sum: KernelCounters = { ...zeros, refused: TX_REFUSALS.map(() => 0) };
  for (const cpu of perCpu) {
    const words = new DataView(cpu.buffer, cpu.byteOffset, cpu.byteLength);
    const at = (offset: number): number => Number(words.getBigUint64(offset, true));
    for (const name of PLAIN_COUNTERS) sum[name] += at(TX_COUNTERS[name]);
    for (let i = 0; i < TX_REFUSALS.length; i++)
      sum.refused[i] = (sum.refused[i] as number) + at(TX_COUNTERS.refused + 8 * i);
  }
  return sum;
}

/** Compares what `tx` has sent with what `sink` has seen of each kind: captured, to be segmented, held. */
export function judgeBehind(
  kernel: Pick<KernelCounters, 'originalsSent' | 'originalsArrived' | 'cutSent' | 'cutArrived'>,
  heldSent: number,
  heldArrived: number,
): BehindTx {
  const cut = kernel.cutSent - kernel.cutArrived;
  const missing = [kernel.originalsSent - kernel.originalsArrived, cut, heldSent - heldArrived];
  const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + Math.max(0, value), 0);
  return { missing: sumOf(missing), copies: sumOf(missing.map((value) => -value)), lost: Math.max(0, cut) };
}

/**
 * Frames refused by each reason: by the programs, in a backlog, and by the poller, with those that a change of the link
 * has lost.
 */
export function refusedBy(
  byTx: readonly number[],
  backlog: number,
  at: (counter: number) => number,
  lostByChange: Partial<Record<Refusal, number>>,
): Record<Refusal, number> {
  const counts = Object.fromEntries(Object.keys(REFUSALS).map((name) => [name, 0])) as Record<Refusal, number>;
  TX_REFUSALS.forEach((name, i) => (counts[name] = byTx[i] as number));
  counts.backlog = backlog;
  for (const { name, counter } of POLLER_REFUSALS) counts[name] = at(counter) + (lostByChange[name] ?? 0);
  return counts;
}
