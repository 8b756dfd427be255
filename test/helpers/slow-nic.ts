// SPDX-License-Identifier: MIT
/** An interface whose poller rests after each batch, so that its queue is full most of the time. */
import type { Test } from 'tap';

import { attachedIn, type Attached } from './cli';
import { quietNetns, testNetns } from './netns';
import { withoutArp } from './traffic';

export interface SlowOptions {
  /** The address that traffic is sent to; with IPv4 nothing else is on the interface. */
  address: string;
  /** Microseconds of rest after each batch. */
  delayUs: number;
  args?: readonly string[];
}

/** Attaches the interface in a namespace of its own and settles its neighbour. */
export function slowNic(t: Test, { address, delayUs, args = [] }: SlowOptions): Attached {
  const v6 = address.includes(':');
  const netns = v6 ? testNetns(t) : quietNetns(t);
  process.env['VNET_BPF_TEST_POLL_DELAY_US'] = String(delayUs);
  try {
    const nic = attachedIn(t, netns, ['--addr', `${address}/${v6 ? 64 : 24}`, ...args]);
    withoutArp(nic, address);
    return nic;
  } finally {
    delete process.env['VNET_BPF_TEST_POLL_DELAY_US'];
  }
}
