// SPDX-License-Identifier: MIT
/** Random numbers from a seed (VNET_BPF_TEST_SEED), so that a test run can be repeated. */
import { randomInt } from 'node:crypto';

import type { Test } from 'tap';

export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0 || 1;
  }

  /** A generator whose seed is printed. */
  static announced(t: Test): Random {
    const random = new Random(Number(process.env['VNET_BPF_TEST_SEED'] ?? randomInt(1, 0xffffffff)));
    t.comment(`seed ${random.seed}: VNET_BPF_TEST_SEED=${random.seed} does the same again`);
    return random;
  }

  /** 32 random bits (xorshift32). */
  bits(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + (this.bits() % (to - from + 1));
  }

  chance(percent: number): boolean {
    return this.bits() % 100 < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.bits() % choices.length] as T;
  }
}
