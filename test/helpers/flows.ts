// SPDX-License-Identifier: MIT
/** Several flows at a time, as on an interface with several queues. */
import type { Test } from 'tap';

import { WAIT_MS } from './loop';
import type { OwnUdp } from './own-sockets';

export const TWO_QUEUES = ['--queues', '2'];

/** Asserts that everything that was sent comes back, and in order within each flow. */
export async function checkFlows(t: Test, flows: readonly OwnUdp[]): Promise<void> {
  for (const flow of flows) await flow.takeUntil(flow.sent, WAIT_MS);
  t.same(
    flows.map(({ received }) => received),
    flows.map(({ sent }) => sent),
    'all came back',
  );
  t.same(
    flows.map(({ outOfOrder, damaged }) => ({ outOfOrder, damaged })),
    flows.map(() => ({ outOfOrder: 0, damaged: 0 })),
    'each flow in order and whole',
  );
}
