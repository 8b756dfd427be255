// SPDX-License-Identifier: MIT
/** The steps that a loop must pass wherever it runs. The tests of the matrix consist of them. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Test } from 'tap';

import { frameAccounting, readStats, type Stats } from '../../src/datapath/stats';
import { pinDirectory } from '../../src/state/bpffs';
import { attachInBackground, attachmentOf, cliOk, isSent, SLOW, type Attached } from './cli';
import { kernelCounters, ok, okIn } from './netns';
import type { OwnUdp } from './own-sockets';

export const ADDRESSES = ['10.77.0.1', 'fd77::1'] as const;
export const ARGUMENTS = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--ring-size', '256K'];
export const WAIT_MS = 5_000 * SLOW;

type Named = Pick<Attached, 'netns' | 'iface'>;

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes a reading in this process, because the command takes long to start. */
export const look = (nic: Named): Stats => readStats(attachmentOf(nic));

export async function atRest(nic: Named): Promise<Stats> {
  for (const end = Date.now() + WAIT_MS; ; await delay(20 * SLOW)) {
    const stats = look(nic);
    // A queue that has just become empty wakes a moment later: closing the waiting room takes the kernel's RTNL lock.
    const empty =
      stats.queue.packets === 0 && stats.held.now === 0 && stats.impair.waiting === 0 && stats.state !== 'stopped';
    if ((empty && frameAccounting(stats).balanced) || Date.now() > end) return stats;
  }
}

/**
 * Our counters and the kernel's, at rest, from the same moment. Neighbour discovery may still be going on, and IPv6
 * sends packets of its own for some seconds after an interface has come up.
 */
export async function countersAtRest(nic: Named): Promise<{ stats: Stats; kernel: ReturnType<typeof kernelCounters> }> {
  for (let before = kernelCounters(nic.netns, nic.iface); ;) {
    const stats = await atRest(nic);
    const kernel = kernelCounters(nic.netns, nic.iface);
    if (kernel.tx === before.tx && kernel.rx === before.rx) return { stats, kernel };
    before = kernel;
  }
}

const acceptedOf = ({ tx, refused }: Stats): number =>
  tx.packets - Object.values(refused).reduce((sum, count) => sum + count, 0);

export const refusals = ({ refused }: Stats): [string, number][] =>
  Object.entries(refused).filter(([, count]) => count > 0);

/** Checks the frame accounting, and what must hold with it at rest. */
export async function checkRest(t: Test, nic: Attached, tries = 5): Promise<Stats> {
  const stats = await atRest(nic);
  const kernel = kernelCounters(nic.netns, nic.iface);
  const accepted = acceptedOf(stats);
  // With IPv6 the interface is never quite at rest: a packet that passed between the two readings is in the next one.
  const { missing } = stats.behind;
  const isTx = isSent(kernel.tx, accepted, missing);
  if (!isTx && tries > 1) return checkRest(t, nic, tries - 1);
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  t.equal(stats.held.dropped + stats.held.again, 0, 'the waiting room lost nothing');
  t.ok(
    isTx,
    `ip -s link: TX, ${kernel.tx}, is what was accepted, ${accepted}, less what is missing behind tx, ${missing}`,
  );
  if (stats.backend === 'veth') t.equal(kernel.rx, accepted, 'ip -s link: RX is what was accepted');
  return stats;
}

/** Sends up to `count` datagrams in all, at most `underWay` more than have come back, and receives those. */
export async function exchange(udp: OwnUdp, count: number, underWay = Infinity): Promise<void> {
  for (const end = Date.now() + WAIT_MS; udp.sent < count && Date.now() < end; await delay(1)) {
    udp.offer(Math.min(50, count - udp.sent, underWay - (udp.sent - udp.received)));
    udp.take();
  }
}

/** Stops the controller while `during` runs. */
export async function stopped(nic: Attached, during: () => void): Promise<void> {
  const { pid } = attachmentOf(nic);
  process.kill(pid, 'SIGSTOP');
  try {
    while (!/^State:\s+T/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(1);
    during();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Fills a queue that holds: the sender has to wait, and all frames come back. */
export async function holds(t: Test, nic: Attached, udp: OwnUdp): Promise<void> {
  await stopped(nic, () => {
    const taken = udp.offer(20_000);
    const { queue, held } = look(nic);
    t.ok(queue.stopped && held.now > 0, `the queue is stopped; of ${taken} datagrams ${held.now} are held`);
    t.ok(taken < 20_000, 'then the sender has to wait');
  });
  t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `all ${udp.sent} came back`);
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
}

/** Kills the controller; returns when it is gone or the time is up. */
export async function kill(nic: Attached): Promise<void> {
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  for (const end = Date.now() + WAIT_MS; look(nic).state !== 'crashed' && Date.now() < end;) await delay(5);
}

/** Kills the controller; frames sent meanwhile come back after the next attach. */
export async function crash(
  t: Test,
  nic: Attached,
  udp: OwnUdp,
  meanwhile: number,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const { pid, id } = attachmentOf(nic);
  const before = look(nic);
  const sentBefore = udp.sent;
  await kill(nic);
  t.equal(look(nic).state, 'crashed', 'stats says crashed');
  t.ok(udp.offer(meanwhile) > 0, 'the kernel goes on taking frames');
  const adopted = attachInBackground([nic.iface, '--netns', nic.netns, ...args], env) as { pid: number };
  t.ok(adopted.pid !== pid && attachmentOf(nic).id === id, 'the next attach adopts it');
  t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `all ${udp.sent} came back`);
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  t.ok(look(nic).tx.packets >= before.tx.packets + udp.sent - sentBefore, 'the counters went on');
}

/** Fills a queue that does not hold. */
export async function refuses(t: Test, nic: Attached, udp: OwnUdp): Promise<void> {
  // Then only the datagrams are on the interface.
  okIn(nic.netns, 'sysctl', ['-qw', `net.ipv6.conf.${nic.iface}.disable_ipv6=1`]);
  const before = look(nic).refused.full;
  await stopped(nic, () => udp.offer(5000));
  const stats = await checkRest(t, nic);
  udp.take();
  const refused = stats.refused.full - before;
  t.ok(refused > 0 && stats.queue.stops > 0, `the queue stopped, ${refused} were refused`);
  t.equal(udp.received + refused, udp.sent, 'received + refused = sent');
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
}

export function checkGone(t: Test, nic: Attached): void {
  const { id } = attachmentOf(nic);
  cliOk(['detach', nic.iface, '--netns', nic.netns]);
  t.notOk(fs.existsSync(path.join('/run/vnet-bpf', id)), 'no state is left');
  t.notOk(fs.existsSync(pinDirectory(id)), 'no pins are left');
  const rules = ok('ip', ['-n', nic.netns, 'rule']) + ok('ip', ['-n', nic.netns, '-6', 'rule']);
  t.notMatch(rules, /86|iif/, 'no rules are left');
}
