// SPDX-License-Identifier: MIT
/**
 * What netem is told, as numbers, and as the kernel reads it (TCA_OPTIONS of struct tc_netem_qopt,
 * include/uapi/linux/pkt_sched.h). Every option is always told: what a change leaves out netem keeps (netem_change in
 * net/sched/sch_netem.c), and tc cannot take back ecn or a distribution.
 */
import { distributionTable, type Distribution } from './netem-distribution';
import { attribute, message } from './message';

/** Chances are from 0 to 1, times in nanoseconds. */
export interface NetemOptions {
  /** Frames that it may have at a time. */
  limit: number;
  delay: { time: number; jitter: number; correlation: number; distribution: Distribution };
  loss: RandomLoss | GilbertElliott | FourStates;
  /** Marks frames that can be marked instead of losing them. */
  ecn: boolean;
  duplicate: Chance;
  corrupt: Chance;
  reorder: Chance;
  /** Every so many-th frame may overtake the others; 0 without reordering. */
  gap: number;
  /** Bytes a second, 0 for no limit; bytes that each frame and each cell is longer, and those of a cell. */
  rate: { bytes: number; overhead: number; cell: number; cellOverhead: number };
  /** Frames are let go in bursts, at times that differ by `least` to `most`; the most frames and bytes of each, 0 for any. */
  slot: { least: number; most: number; packets: number; bytes: number };
  /** Of the random numbers, where the kernel takes one; null for one of its own. */
  seed: bigint | null;
}

export interface Chance {
  chance: number;
  correlation: number;
}

interface RandomLoss {
  model: 'random';
  chance: number;
}

/** Two states: `p` is the chance of going from good to bad, `r` that of going back; what is lost in either. */
export interface GilbertElliott {
  model: 'gemodel';
  p: number;
  r: number;
  lostWhenBad: number;
  lostWhenGood: number;
}

/** tc-netem(8), `loss state`. */
export interface FourStates {
  model: 'state';
  p13: number;
  p31: number;
  p32: number;
  p23: number;
  p14: number;
}

const TCA_NETEM_CORR = 1;
const TCA_NETEM_DELAY_DIST = 2;
const TCA_NETEM_REORDER = 3;
const TCA_NETEM_CORRUPT = 4;
const TCA_NETEM_LOSS = 5;
const TCA_NETEM_RATE = 6;
const TCA_NETEM_ECN = 7;
const TCA_NETEM_RATE64 = 8;
const TCA_NETEM_LATENCY64 = 10;
const TCA_NETEM_JITTER64 = 11;
const TCA_NETEM_SLOT = 12;
const TCA_NETEM_PRNG_SEED = 14;
const NETEM_LOSS_GI = 1;
const NETEM_LOSS_GE = 2;
const U32_MAX = 0xffffffff;

/** A chance as netem compares it with a random number of 32 bits. */
const scaled = (chance: number): number => Math.round(chance * U32_MAX);

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer);
const longs = (...values: (number | bigint)[]): Uint8Array => new Uint8Array(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer);

/** The value of TCA_OPTIONS. */
export function netemMessage({ limit, delay, loss, ecn, duplicate, corrupt, reorder, gap, rate, slot, seed }: NetemOptions): Uint8Array {
  const random = loss.model === 'random' ? loss.chance : 0;
  return message(
    // The times of the structure are in ticks; TCA_NETEM_LATENCY64 and JITTER64 take their place.
    words(0, limit, scaled(random), gap, scaled(duplicate.chance), 0),
    attribute(TCA_NETEM_LATENCY64, longs(delay.time)),
    attribute(TCA_NETEM_JITTER64, longs(delay.jitter)),
    attribute(TCA_NETEM_CORR, words(scaled(delay.correlation), 0, scaled(duplicate.correlation))),
    attribute(TCA_NETEM_DELAY_DIST, new Uint8Array(distributionTable(delay.distribution).buffer)),
    attribute(TCA_NETEM_REORDER, words(scaled(reorder.chance), scaled(reorder.correlation))),
    attribute(TCA_NETEM_CORRUPT, words(scaled(corrupt.chance), scaled(corrupt.correlation))),
    ...lossAttribute(loss),
    ...rateAttributes(rate),
    attribute(TCA_NETEM_ECN, words(ecn ? 1 : 0)),
    attribute(TCA_NETEM_SLOT, longs(slot.least, slot.most), words(slot.packets, slot.bytes), longs(0, 0)),
    ...(seed === null ? [] : [attribute(TCA_NETEM_PRNG_SEED, longs(seed))]),
  );
}

function lossAttribute(loss: NetemOptions['loss']): Uint8Array[] {
  if (loss.model === 'random') return [];
  const model =
    loss.model === 'gemodel'
      ? attribute(NETEM_LOSS_GE, words(scaled(loss.p), scaled(loss.r), scaled(1 - loss.lostWhenBad), scaled(loss.lostWhenGood)))
      : attribute(NETEM_LOSS_GI, words(scaled(loss.p13), scaled(loss.p31), scaled(loss.p32), scaled(loss.p14), scaled(loss.p23)));
  return [attribute(TCA_NETEM_LOSS, model)];
}

/** The structure holds 32 bits of the rate; TCA_NETEM_RATE64 has those of more. */
function rateAttributes({ bytes, overhead, cell, cellOverhead }: NetemOptions['rate']): Uint8Array[] {
  const rate = attribute(TCA_NETEM_RATE, words(Math.min(bytes, U32_MAX), overhead, cell, cellOverhead));
  return bytes > U32_MAX ? [attribute(TCA_NETEM_RATE64, longs(bytes)), rate] : [rate];
}
