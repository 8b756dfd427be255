// SPDX-License-Identifier: MIT
/** Our loop with other people's programs around it: through traffic, a crash and an adoption. */
import type { Test } from 'tap';

import { type Attached } from './cli';
import { ADDRESSES, checkRest, crash, exchange, WAIT_MS } from './loop';
import { inside, ok, run } from './netns';
import type { OtherProgram } from './others';
import { OwnUdp } from './own-sockets';

export type Others = Readonly<Record<string, OtherProgram>>;

/** Arguments of the loops here. */
export const LOOP = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];
/** Environment of a controller that behaves as on a kernel without tcx. */
export const CLSACT = { VNET_BPF_TEST_ATTACH: 'clsact' };
const COUNT = 100;

/** Sends COUNT datagrams; all come back, and each of the others sees them. */
async function send(t: Test, udp: OwnUdp, others: Others, when: string): Promise<void> {
  const before = Object.values(others).map((other) => other.seen());
  await exchange(udp, udp.sent + COUNT);
  t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `${when}: all ${udp.sent} came back`);
  Object.entries(others).forEach(([name, other], i) => {
    const seen = other.seen() - (before[i] as number);
    t.ok(seen >= COUNT, `${when}: ${name} has seen the ${COUNT} datagrams (${seen} frames)`);
  });
}

export async function together(t: Test, nic: Attached, others: Others, env: NodeJS.ProcessEnv): Promise<void> {
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  // One alone first: packets that wait for a neighbour are overtaken by packets sent once it is known (neigh_update).
  await exchange(udp, 1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  await send(t, udp, others, 'looping');
  await crash(t, nic, udp, COUNT, ['--ring-size', '256K'], env);
  await send(t, udp, others, 'after a crash and an adoption');
  await checkRest(t, nic);
}

/** Asserts that the other programs are still attached after we have detached: they see what is sent. */
export function checkStay(t: Test, netns: string, iface: string, others: Others): void {
  const before = Object.values(others).map((other) => other.seen());
  ok('ip', ['-n', netns, 'link', 'set', 'dev', iface, 'up']);
  ok('ip', ['-n', netns, 'addr', 'add', '10.77.0.1/24', 'dev', iface]);
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  run(nsenter, [...rest, 'ping', '-c', '1', '-W', '1', '10.77.0.2']); // no host answers
  Object.entries(others).forEach(([name, other], i) =>
    t.ok(other.seen() > (before[i] as number), `${name} is still there, and sees what is sent`),
  );
}
