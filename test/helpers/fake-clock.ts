// SPDX-License-Identifier: MIT
/** The clock of the polling threads, in the hands of a test. */
import type { Test } from 'tap';

import { clock } from '../../src/native/clock';

export interface FakeClock {
  /** Milliseconds. */
  now: number;
}

/** Stops the clock until the end of the test: it goes on only as the test says. */
export function fakeClock(t: Test): FakeClock {
  const fake: FakeClock = { now: 1000 };
  const { now } = clock;
  (clock as { now(): number }).now = () => fake.now;
  t.teardown(() => void ((clock as { now(): number }).now = now.bind(clock)));
  return fake;
}
