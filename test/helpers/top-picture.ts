// SPDX-License-Identifier: MIT
/** What `top` is looked at with: two interfaces at work, and the part of a screen that no number changes. */
import type { Test } from 'tap';

import { attachedIn, type Attached } from './cli';
import { startFlood } from './flood';
import { quietNetns } from './netns';
import { withoutArp } from './traffic';

/** 64 frames, then a rest: about 1600 frames a second. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '40000' };
/** Frames per second that are offered, which is more than the poller takes. */
const RATE = 2500;

/** Two interfaces whose queues are full most of the time: one holds frames, the other refuses them. */
export async function busyPair(t: Test): Promise<{ netns: string; vnet0: Attached; vnet1: Attached }> {
  const netns = quietNetns(t);
  const attach = async (iface: string, address: string, ...args: string[]): Promise<Attached> => {
    const nic = attachedIn(t, netns, ['--addr', `${address}/24`, '--ring-size', '256K', ...args], iface, SLOW_POLLER);
    withoutArp(nic, address);
    await startFlood(t, netns, { address, bytes: 1000, rate: RATE });
    return nic;
  };
  return {
    netns,
    vnet0: await attach('vnet0', '10.77.0.1'),
    vnet1: await attach('vnet1', '10.78.0.1', '--when-full', 'drop'),
  };
}

/** The words of a screen, without numbers, bars and charts. */
export const shapeOf = (lines: readonly string[]): string[] =>
  lines
    .map((line) =>
      line
        .replace(/[▁-▟┃]/g, ' ')
        .replace(/drops .*/, 'drops')
        .replace(/running|stopped/, 'state')
        .replace(/\d\d:\d\d:\d\d/, 'time')
        .replace(/\d[\d.]*\s?[kMG]?(?=\s?(pkt|bit|%|held|\/s))/g, 'N ')
        .replace(/last \d+ s/, 'last N s')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
