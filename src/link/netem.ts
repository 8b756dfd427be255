// SPDX-License-Identifier: MIT
/**
 * netem, the kernel's network emulator, as the root qdisc of the peer, which every frame on the reinject path passes:
 * its options as the kernel reads them, and its jitter tables. The calling thread is in the peer namespace.
 */
import { HINTS, VnetError } from '../errors';
import { SystemError } from '../native/libc';
import { requireNetemSeed } from '../requirements';
import { HOST_PEER_NETNS } from '../state/paths';
import { linkByName, qdiscsOf } from './links';
import { attribute, change, message, NLM_F_CREATE, NLM_F_EXCL, textAttribute } from './rtnetlink';

/**
 * The distributions of netem's jitter. Entry i of a table of n is the value that a fraction of i/n stays below, in
 * units of the jitter, times NETEM_DIST_SCALE. tc reads the same tables from files of iproute2.
 */
export type Distribution = 'uniform' | 'normal' | 'pareto' | 'paretonormal';

const NETEM_DIST_SCALE = 8192;
/** Entries of a table. The kernel accepts up to 16384. */
const ENTRIES = 4096;
const S16_MAX = 32767;
/**
 * The shape of the Pareto distribution, as in iproute2: mean 1.5, standard deviation 0.75 times the square root of 4/3.
 */
const SHAPE = 3;
const SHAPE_MEAN = SHAPE / (SHAPE - 1);
const SHAPE_SCALE = 4 / 3;

const pareto = (fraction: number): number => ((1 - fraction) ** (-1 / SHAPE) - SHAPE_MEAN) * SHAPE_SCALE;

/** The quantiles of the normal distribution, found by summing its density in steps. */
function normals(): number[] {
  const step = 1e-3;
  const values: number[] = [];
  let sum = 0;
  for (let z = -4; values.length < ENTRIES; z += step) {
    sum += (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * step;
    while (values.length < ENTRIES && (sum >= (values.length + 0.5) / ENTRIES || z > 4)) values.push(z);
  }
  return values;
}

/** Makes each table. Without a table, the kernel uses an even distribution from minus to plus the jitter. */
const MAKE: Readonly<Record<Distribution, () => number[]>> = {
  uniform: () => fractions().map((fraction) => 2 * fraction - 1),
  normal: normals,
  pareto: () => fractions().map(pareto),
  // As in iproute2: a quarter normal, three quarters Pareto.
  paretonormal: () => {
    const normal = normals();
    return fractions().map((fraction, i) => 0.25 * (normal[i] as number) + 0.75 * pareto(fraction));
  },
};

const fractions = (): number[] => Array.from({ length: ENTRIES }, (_, i) => (i + 0.5) / ENTRIES);

export const distributionTable = (distribution: Distribution): Int16Array =>
  Int16Array.from(MAKE[distribution](), (value) =>
    Math.max(-S16_MAX, Math.min(S16_MAX, Math.round(value * NETEM_DIST_SCALE))),
  );

// The options of netem, as numbers and as the kernel reads them (TCA_OPTIONS and struct tc_netem_qopt in
// include/uapi/linux/pkt_sched.h). Every option is always sent: netem keeps what a change leaves out (netem_change in
// net/sched/sch_netem.c), and tc cannot take back ecn or a distribution.

/** All options of netem. Chances are from 0 to 1, times in nanoseconds. */
export interface NetemOptions {
  /** Number of frames that it may have at a time. */
  limit: number;
  delay: { time: number; jitter: number; correlation: number; distribution: Distribution };
  loss: RandomLoss | GilbertElliott | FourStates;
  /** Marks frames that support ECN instead of losing them. */
  ecn: boolean;
  duplicate: Chance;
  corrupt: Chance;
  reorder: Chance;
  /** Every gap-th frame may overtake the others; 0 without reordering. */
  gap: number;
  /** Bytes a second, 0 for no limit; bytes by which each frame and each cell is longer, and the bytes of a cell. */
  rate: { bytes: number; overhead: number; cell: number; cellOverhead: number };
  /**
   * Frames leave in bursts, at times that differ by `least` to `most`; `packets` and `bytes` are the most of each
   * burst, 0 for no limit.
   */
  slot: { least: number; most: number; packets: number; bytes: number };
  /** The seed of the random numbers, if the kernel accepts one; null for a seed of the kernel's own. */
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

/**
 * Two states: `p` is the chance of going from good to bad, `r` that of going back; the others are the chances of loss
 * in each state.
 */
export interface GilbertElliott {
  model: 'gemodel';
  p: number;
  r: number;
  lostWhenBad: number;
  lostWhenGood: number;
}

/** Four states, as `loss state` in tc-netem(8). */
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

/** A chance as the number of 32 bits that netem compares with a random number. */
const scaled = (chance: number): number => Math.round(chance * U32_MAX);

const words = (...values: number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer);
const longs = (...values: (number | bigint)[]): Uint8Array =>
  new Uint8Array(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer);

/** The value of TCA_OPTIONS. */
export function netemMessage({
  limit,
  delay,
  loss,
  ecn,
  duplicate,
  corrupt,
  reorder,
  gap,
  rate,
  slot,
  seed,
}: NetemOptions): Uint8Array {
  const random = loss.model === 'random' ? loss.chance : 0;
  return message(
    // The times of the structure are in ticks; TCA_NETEM_LATENCY64 and JITTER64 replace them.
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
      ? attribute(
          NETEM_LOSS_GE,
          words(scaled(loss.p), scaled(loss.r), scaled(1 - loss.lostWhenBad), scaled(loss.lostWhenGood)),
        )
      : attribute(
          NETEM_LOSS_GI,
          words(scaled(loss.p13), scaled(loss.p31), scaled(loss.p32), scaled(loss.p14), scaled(loss.p23)),
        );
  return [attribute(TCA_NETEM_LOSS, model)];
}

/** The structure holds 32 bits of the rate; TCA_NETEM_RATE64 holds a larger one. */
function rateAttributes({ bytes, overhead, cell, cellOverhead }: NetemOptions['rate']): Uint8Array[] {
  const rate = attribute(TCA_NETEM_RATE, words(Math.min(bytes, U32_MAX), overhead, cell, cellOverhead));
  return bytes > U32_MAX ? [attribute(TCA_NETEM_RATE64, longs(bytes)), rate] : [rate];
}

/** The kernel has no netem, not even as a module. */
export class NoNetem extends VnetError {
  constructor() {
    super('UNSUPPORTED', 'impair', 'this kernel has no netem (CONFIG_NET_SCH_NETEM)', {
      hint: 'modprobe sch_netem if it is a module',
    });
  }
}

const KIND = 'netem';
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_ROOT = 0xffffffff;

/** struct tcmsg: family, ifindex, handle, parent, info. */
function rootOf(dev: string): Uint8Array {
  const ifindex = linkByName(dev)?.ifindex;
  if (ifindex === undefined)
    throw new VnetError('INTERFACE_GONE', `interface ${dev}`, 'is gone', { hint: HINTS.doctor });
  return new Uint8Array(Uint32Array.from([0, ifindex, 0, TC_H_ROOT, 0]).buffer);
}

/** The frames that wait in a netem and those that it has dropped; null if there is none. */
export function readNetem(dev: string): { waiting: number; drops: number } | null {
  const found = qdiscsOf(dev).find(({ kind }) => kind === KIND);
  return found ? { waiting: found.qlen, drops: found.drops } : null;
}

/** Removes the netem, if there is one, with the frames that are in it. */
export function removeNetem(dev: string): void {
  if (readNetem(dev)) change(RTM_DELQDISC, rootOf(dev));
}

/**
 * Adds a netem where there is none. Frames that are sent meanwhile are lost: the kernel exchanges the qdisc for noop
 * first (qdisc_graft in net/sched/sch_api.c).
 */
export function addNetem(dev: string, options: NetemOptions): void {
  tell(dev, options, NLM_F_CREATE | NLM_F_EXCL);
}

/**
 * Changes the options of the existing netem. Frames in it keep their time. If the kernel refuses the change, the old
 * options stay.
 */
export function changeNetem(dev: string, options: NetemOptions): void {
  tell(dev, options, 0);
}

function tell(dev: string, options: NetemOptions, flags: number): void {
  if (options.seed !== null) requireNetemSeed();
  try {
    change(
      RTM_NEWQDISC,
      message(rootOf(dev), textAttribute(TCA_KIND, KIND), attribute(TCA_OPTIONS, netemMessage(options))),
      flags,
    );
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    if (cause.code === 'ENOENT') {
      throw new NoNetem();
    }
    throw new VnetError('SYSCALL', 'impair', `the kernel refuses it (${cause.code}), and what was in place stays`, {
      hint: HINTS.doctor,
      cause,
    });
  }
}

/** The same as commands that a user can type; `words` are those of tc, null to remove the netem. */
export function netemCommands(dev: string, present: boolean, words: readonly string[] | null): string[] {
  const remove = ['qdisc', 'del', 'dev', dev, 'root'];
  const commands = [
    ...(present ? [remove] : []),
    ...(words ? [['qdisc', 'add', 'dev', dev, 'root', KIND, ...words]] : []),
  ];
  return commands.map((args) => ['nsenter', `--net=${HOST_PEER_NETNS}`, 'tc', ...args].join(' '));
}
