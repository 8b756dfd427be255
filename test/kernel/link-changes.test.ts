// SPDX-License-Identifier: MIT
/** vnet0 is changed under the controller while packets flow: the controller keeps looping, and does not spin. */
import * as os from 'node:os';

import type { Test } from 'tap';
import t from 'tap';

import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { Background } from '../helpers/background';
import { attachedIn, attachmentOf, cannotRun, checkAccounting, cliOk, SLOW, type Attached } from '../helpers/cli';
import { controllerPid, cpuUse, eventually, listed, lives } from '../helpers/controller';
import { countersAtRest, exchange, kill } from '../helpers/loop';
import { kernelCounters, ok, okIn, quietNetns, testNetns } from '../helpers/netns';
import { mtuFollowed, setMtu } from '../helpers/offloads';
import { OwnUdp } from '../helpers/own-sockets';
import { sameAs, snapshot } from '../helpers/snapshot';
import { withoutArp } from '../helpers/traffic';

t.setTimeout(240_000 * SLOW);

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];
/** The share of a CPU that an idle controller may use. */
const IDLE = 0.1;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms * SLOW));

interface Busy {
  netns: string;
  pid: number;
  /** Ends the traffic, and checks that the controller is alive and idle. */
  calm: () => Promise<void>;
}

/** An attached vnet0 with pings under way. */
async function busy(t: Test, netns = testNetns(t)): Promise<Busy> {
  attachedIn(t, netns, ADDRESSES);
  const pid = controllerPid(netns, 'vnet0');
  const flood = Background.start(t, netns, 'ping', ['-q', '-i', '0.002', '10.77.0.1']);
  await nap(200);
  const calm = async (): Promise<void> => {
    await flood.stop('SIGKILL');
    await nap(300);
    t.ok(lives(pid), 'the controller is still the same');
    const use = await cpuUse(pid);
    t.ok(use < IDLE, `it rests when there is nothing to do: ${(use * 100).toFixed(1)} % of a CPU`);
  };
  return { netns, pid, calm };
}

/** Pings cross the loop, and every frame is accounted for. */
async function loops(t: Test, netns: string, iface: string, addresses = ['10.77.0.1', 'fd77::1']): Promise<void> {
  const before = statsOf(netns, iface);
  for (const address of addresses) {
    t.match(okIn(netns, 'ping', ['-c', '2', '-W', '5', address]), / 2 received/, `${address} answers`);
  }
  const after = await atRest(netns, iface);
  t.ok(after.rx.packets - before.rx.packets >= 4 * addresses.length, 'through the loop');
}

const statsOf = (netns: string, iface: string): ReturnType<Attached['stats']> =>
  JSON.parse(cliOk(['stats', iface, '--netns', netns, '--json'])) as ReturnType<Attached['stats']>;

async function atRest(netns: string, iface: string): Promise<ReturnType<Attached['stats']>> {
  const end = Date.now() + 5000 * SLOW;
  for (let last = statsOf(netns, iface); ;) {
    await nap(50);
    const now = statsOf(netns, iface);
    if ((now.tx.packets === last.tx.packets && now.rx.packets === last.rx.packets) || Date.now() > end) return now;
    last = now;
  }
}

t.test('renamed', { skip: cannotRun }, async (t) => {
  const { netns, pid, calm } = await busy(t);
  // The old name is the one that detaches after the test; the new one is tried first.
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'name', 'loop9']);
  t.ok(await eventually(() => listed(netns, 'loop9')?.pid === pid), 'list shows the new name');
  t.equal(listed(netns, 'vnet0'), undefined, 'and not the old one');
  await calm();
  await loops(t, netns, 'loop9');
  t.equal(statsOf(netns, 'loop9').interface, 'loop9', 'stats know the new name');
  cliOk(['detach', 'loop9', '--netns', netns]);
  t.notMatch(ok('ip', ['-n', netns, 'link']), 'loop9', 'detach by the new name removes it');
  t.same(
    ok('ip', ['-n', netns, 'rule']).split('\n')[0],
    '0:\tfrom all lookup local',
    'and the rules that knew it by its name',
  );
});

t.test('set down and up', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const { calm } = await busy(t, netns);
  const DOWNS = 3;
  for (let i = 0; i < DOWNS; i++) {
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'down']);
    await nap(150);
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'up']);
    await nap(100);
  }
  await calm();
  await loops(t, netns, 'vnet0', ['10.77.0.1']);
  // IPv6 addresses go with an interface that is set down, and stay away: Linux does that to all of them.
  ok('ip', ['-n', netns, 'addr', 'replace', 'fd77::1/64', 'dev', 'vnet0', 'nodad']);
  await nap(300);
  await loops(t, netns, 'vnet0', ['fd77::1']);
  const { stats, kernel } = await countersAtRest({ netns, iface: 'vnet0' });
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  // Frames in flight when it went down had left vnet0, but could not come back.
  t.equal(kernel.rx, stats.rx.packets, 'rx is what ip -s link says');
  // A sender may be between our program and the driver when it goes down: the kernel does not count that frame as sent.
  const uncounted = stats.refused.down + stats.refused.backlog - (kernel.tx - kernel.rx);
  t.ok(
    uncounted >= 0 && uncounted <= DOWNS * os.cpus().length,
    `and what TX has more was refused while it was down: ${uncounted} not in TX`,
    {
      kernel,
      stats,
    },
  );
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('set down and left so', { skip: cannotRun }, async (t) => {
  const { netns, calm } = await busy(t);
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'down']);
  await nap(200);
  await calm();
  t.equal(statsOf(netns, 'vnet0').queue.packets, 0, 'nothing waits in the ring for ever');
});

/** A poller so slow that the ring is never empty, even where starting `ip` takes long: 800 frames are 13 polls. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '5000' };

/** Sends two flows of datagrams while `turn` is done repeatedly; returns the counters at rest. */
async function changing(
  t: Test,
  nic: Attached,
  bytes: number,
  turn: (number: number) => Promise<void>,
): Promise<Stats> {
  withoutArp(nic, '10.77.0.1');
  const flows = [0, 1].map(() => new OwnUdp(t, nic.netns, '10.77.0.1', bytes));
  for (let i = 0; i < 25; i++) {
    flows.forEach((udp) => udp.offer(400));
    await turn(i);
    flows.forEach((udp) => udp.take());
  }
  // The next looks, one a second, find out why a frame is missing.
  let stats = await atRest(nic.netns, 'vnet0');
  for (const end = Date.now() + 5000 * SLOW; stats.refused.backlog > 0 && Date.now() < end; await nap(200))
    stats = statsOf(nic.netns, 'vnet0');
  return stats;
}

t.test('set down and up in quick turns: what that costs counts as down', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24'], 'vnet0', SLOW_POLLER);
  const stats = await changing(t, nic, 200, async (turn) => {
    for (const state of ['down', 'up']) ok('ip', ['-n', nic.netns, 'link', 'set', 'vnet0', state]);
    await nap(turn % 10);
  });
  t.ok(
    stats.refused.down > 0,
    `${stats.refused.down} down, of which ${attachmentOf(nic).lostByChange.down} were missing`,
  );
  t.equal(stats.refused.backlog, 0, 'none did not fit into a backlog');
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'the accounting balances');
  t.equal(kernelCounters(nic.netns, 'vnet0').rx, stats.rx.packets, 'rx is what ip -s link says');
});

t.test(
  'a smaller and a larger MTU in quick turns: frames are too long or come back',
  { skip: cannotRun },
  async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--mtu', '9000'], 'vnet0', SLOW_POLLER);
    const stats = await changing(t, nic, 1400, async (turn) => {
      for (const mtu of [600, 9000, 1500, 9000]) {
        ok('ip', ['-n', nic.netns, 'link', 'set', 'vnet0', 'mtu', String(mtu)]);
        await nap(turn % 10);
      }
    });
    const { toolong, ...others } = stats.refused;
    t.same(
      Object.entries(others).filter(([, count]) => count > 0),
      [],
      `${toolong} are too long, nothing else`,
    );
    const sums = frameAccounting(stats);
    t.equal(sums.out, sums.in, 'the accounting balances');
    t.equal(kernelCounters(nic.netns, 'vnet0').rx, stats.rx.packets, 'rx is what ip -s link says');
  },
);

t.test(
  'frames of a larger MTU come back as soon as the peer has followed, also if the controller was dead meanwhile',
  { skip: cannotRun },
  async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
    withoutArp(nic, '10.77.0.1');
    const udp = new OwnUdp(t, nic.netns, '10.77.0.1', 8900);
    const comeBack = async (): Promise<void> => {
      await exchange(udp, udp.sent + 100);
      t.ok(await udp.takeUntil(udp.sent, 5000 * SLOW), `all ${udp.sent} came back`);
    };
    for (const mtu of [9000, 1500, 65535, 9000]) await setMtu(nic, mtu);
    await comeBack();
    await setMtu(nic, 1500);
    await kill(nic);
    ok('ip', ['-n', nic.netns, 'link', 'set', 'vnet0', 'mtu', '9000']);
    cliOk(['attach', 'vnet0', '--netns', nic.netns, '--daemon']);
    await mtuFollowed(nic, 9000);
    await comeBack();
    t.equal(statsOf(nic.netns, 'vnet0').refused.toolong, 0);
  },
);

t.test('another MTU', { skip: cannotRun }, async (t) => {
  const { netns, calm } = await busy(t);
  for (const mtu of ['9000', '1280', '1500']) {
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'mtu', mtu]);
    await nap(100);
    const size = String(Number(mtu) - 28);
    t.match(
      okIn(netns, 'ping', ['-c', '2', '-s', size, '-M', 'do', '10.77.0.1']),
      / 2 received/,
      `frames of ${mtu} bytes come back`,
    );
  }
  await calm();
  await loops(t, netns, 'vnet0');
  const stats = await atRest(netns, 'vnet0');
  checkAccounting(t, { netns, iface: 'vnet0', stats: () => statsOf(netns, 'vnet0'), atRest: async () => stats }, stats);
});
