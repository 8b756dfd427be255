// SPDX-License-Identifier: MIT
/** Several flows at a time, as an interface with several queues has them. */
import type { Test } from 'tap';

import { WAIT_MS } from './loop';
import type { OwnUdp } from './own-sockets';

export const TWO_QUEUES = ['--queues', '2'];

/** All that was sent comes back, and no flow overtakes itself. */
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
