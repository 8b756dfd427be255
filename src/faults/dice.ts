// SPDX-License-Identifier: MIT
/**
 * Chance without state: a number is computed from the seed and from what it is for, not drawn from a stream. So it does
 * not depend on what happens to other frames, or in which order.
 */
import type { Distribution } from './rules';

/** What a throw is for. */
export interface Throw {
  /** The rule's id. */
  rule: number;
  /** The connection's number: 32 bits. */
  connection: number;
  /** The frame's number among those of the connection that the rule matches. */
  n: number;
}

// murmur3 with 32 bits: each bit of a word changes each bit of the result with a probability of one half.

function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Makes each bit of the result depend on each bit. */
export function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The hash of a few words, of each of which only 32 bits count. */
export const hashOf = (...words: readonly number[]): number => finish(words.reduce(mix, 0));

/** The standard deviation of a Pareto distribution of shape 3, whose mean is 1.5. */
const PARETO_SHAPE = 3;
const PARETO_MEAN = 1.5;
const PARETO_DEVIATION = Math.sqrt(3) / 2;

export class Dice {
  private readonly start: number;

  constructor(readonly seed: number) {
    this.start = mix(mix(0, seed >>> 0), Math.floor(seed / 2 ** 32));
  }

  /** 32 bits. `index` tells apart several throws for one frame. */
  bits({ rule, connection, n }: Throw, index: number): number {
    return finish(mix(mix(mix(mix(this.start, rule), connection), n), index));
  }

  /** A number from 0 up to, not including, 1. */
  fraction(what: Throw, index: number): number {
    return this.bits(what, index) / 2 ** 32;
  }

  /** A deviation from a mean of 0: up to 1 if uniform, otherwise with a standard deviation of 1. Uses two throws. */
  deviation(distribution: Distribution, what: Throw, index: number): number {
    const u = 1 - this.fraction(what, index); // not 0
    if (distribution === 'uniform') return 1 - 2 * u;
    if (distribution === 'pareto') return (u ** (-1 / PARETO_SHAPE) - PARETO_MEAN) / PARETO_DEVIATION;
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.fraction(what, index + 1)); // Box-Muller
  }
}
