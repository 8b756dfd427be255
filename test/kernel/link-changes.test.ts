// SPDX-License-Identifier: MIT
/** vnet0 changed under the controller while packets flow: it goes on looping, and does not spin. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';
import t from 'tap';

import { law } from '../../src/datapath/stats';
import { stateDirectory } from '../../src/state/paths';
import { Background } from '../helpers/background';
import { startPersistentSender } from '../helpers/blocking-sender';
import { attachedIn, attachmentOf, cannotRun, checkLaw, cliOk, SLOW, type Attached } from '../helpers/cli';
import { controllerPid, cpuUse, eventually, listed, lives } from '../helpers/controller';
import { kernelLog } from '../helpers/kernel-log';
import { kernelCounters, ok, okIn, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];
/** Part of a CPU that an idle controller may use. */
const IDLE = 0.1;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms * SLOW));

interface Busy {
  netns: string;
  pid: number;
  /** Ends the traffic, and checks that the controller lives on and does nothing. */
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
    t.match(okIn(netns, 'ping', ['-c', '2', '-i', '0.2', '-W', '5', address]), / 2 received/, `${address} answers`);
  }
  const after = await atRest(netns, iface);
  t.ok(after.rx.packets - before.rx.packets >= 4 * addresses.length, 'through the loop');
}

const statsOf = (netns: string, iface: string): ReturnType<Attached['stats']> =>
  JSON.parse(cliOk(['stats', iface, '--netns', netns, '--json'])) as ReturnType<Attached['stats']>;

async function atRest(netns: string, iface: string): Promise<ReturnType<Attached['stats']>> {
  const end = Date.now() + 5000 * SLOW;
  for (let last = statsOf(netns, iface); ; ) {
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
  const stats = await atRest(netns, 'vnet0');
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'the law of the loop balances');
  // What was under way when it went down came out of vnet0, but had nowhere to go back to.
  const kernel = kernelCounters(netns, 'vnet0');
  t.equal(kernel.rx, stats.rx.packets, 'rx is what ip -s link says');
  // A sender may be between our program and the driver when it goes down: the kernel does not count that frame as sent.
  const uncounted = stats.refused.down + stats.refused.backlog - (kernel.tx - kernel.rx);
  t.ok(uncounted >= 0 && uncounted <= DOWNS * os.cpus().length, `and what TX has more was refused while it was down: ${uncounted} not in TX`);
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

t.test('another MTU', { skip: cannotRun }, async (t) => {
  const { netns, calm } = await busy(t);
  for (const mtu of ['9000', '1280', '1500']) {
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'mtu', mtu]);
    await nap(100);
    const size = String(Number(mtu) - 28);
    t.match(okIn(netns, 'ping', ['-c', '2', '-i', '0.2', '-s', size, '-M', 'do', '10.77.0.1']), / 2 received/, `frames of ${mtu} bytes come back`);
  }
  await calm();
  await loops(t, netns, 'vnet0');
  const stats = await atRest(netns, 'vnet0');
  checkLaw(t, { netns, iface: 'vnet0', stats: () => statsOf(netns, 'vnet0'), atRest: async () => stats }, stats);
});

/** A vnet0 in a quiet moment, with what looks at its log. */
function quiet(t: Test, args: readonly string[] = ADDRESSES): { netns: string; pid: number; ip: (...words: string[]) => string; log: () => string } {
  const netns = testNetns(t);
  attachedIn(t, netns, args);
  const { id, pid } = attachmentOf({ netns, iface: 'vnet0' });
  const ip = (...words: string[]): string => ok('ip', ['-n', netns, ...words]);
  return { netns, pid, ip, log: () => fs.readFileSync(path.join(stateDirectory(id), 'log'), 'utf8') };
}

t.test('set down, then renamed, then set up', { skip: cannotRun }, async (t) => {
  const { netns, pid, ip, log } = quiet(t);
  ip('link', 'set', 'vnet0', 'down');
  ip('link', 'set', 'vnet0', 'name', 'x');
  t.ok(await eventually(() => /vnet0 is called x now/.test(log()) && /x set down|vnet0 set down/.test(log())), 'the log says both');
  ip('link', 'set', 'x', 'up');
  t.ok(await eventually(() => /x set up/.test(log())), 'and that it is up');
  await loops(t, netns, 'x', ['10.77.0.1']);
  t.equal(controllerPid(netns, 'x'), pid, 'the controller is still the same');
  cliOk(['detach', 'x', '--netns', netns]);
  t.notMatch(ip('rule'), /proto 86/, 'its rules are gone');
});

t.test('--hairpin, set down, an address, set up', { skip: cannotRun }, async (t) => {
  const { netns, pid, ip, log } = quiet(t, ['--hairpin']);
  ip('link', 'set', 'vnet0', 'down');
  ip('addr', 'add', '10.77.0.1/24', 'dev', 'vnet0');
  t.ok(await eventually(() => /vnet0 loops 10.77.0.1/.test(log())), 'the address is looped');
  ip('link', 'set', 'vnet0', 'up');
  t.ok(await eventually(() => /vnet0 set up/.test(log())));
  await loops(t, netns, 'vnet0', ['10.77.0.1']);
  t.equal(controllerPid(netns, 'vnet0'), pid, 'the controller is still the same');
});

t.test('renamed to and fro, while another interface takes its names', { skip: cannotRun }, async (t) => {
  const { netns, pid, ip } = quiet(t);
  ip('link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'far');
  for (let i = 0; i < 10; i++) {
    for (const [from, to] of [['vnet0', 'between'], ['other', 'vnet0'], ['between', 'other']] as const) ip('link', 'set', from, 'name', to);
    await nap(i * 5);
    for (const [from, to] of [['vnet0', 'between'], ['other', 'vnet0'], ['between', 'other']] as const) ip('link', 'set', from, 'name', to);
  }
  t.ok(await eventually(() => listed(netns, 'vnet0')?.pid === pid), 'it has its name again');
  await loops(t, netns, 'vnet0');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.notMatch(ip('rule') + ip('-6', 'rule'), /proto 86/, 'no rule is left');
  t.match(ip('link'), 'other', 'the other one is still there');
});

/** Each makes it impossible for a while to do something about a change; returns what ends that. */
const STANDSTILLS: Readonly<Record<string, (where: { pid: number; directory: string }) => () => void>> = {
  'no descriptor is free': ({ pid }) => {
    ok('prlimit', ['--pid', String(pid), '--nofile=12:']);
    return () => ok('prlimit', ['--pid', String(pid), '--nofile=1024:']);
  },
  'the state cannot be written': ({ directory }) => {
    ok('mount', ['--bind', directory, directory]);
    ok('mount', ['-o', 'remount,bind,ro', directory]);
    return () => ok('umount', ['-l', directory]);
  },
};

for (const [name, begin] of Object.entries(STANDSTILLS)) {
  t.test(`renamed, and given another MTU, while ${name}`, { skip: cannotRun }, async (t) => {
    const { netns, pid, ip, log } = quiet(t);
    const end = begin({ pid, directory: stateDirectory(attachmentOf({ netns, iface: 'vnet0' }).id) });
    try {
      ip('link', 'set', 'vnet0', 'name', 'x');
      ip('link', 'set', 'x', 'mtu', '9000');
      await nap(2500);
      t.ok(lives(pid), 'the controller lives');
    } finally {
      end();
    }
    t.ok(await eventually(() => listed(netns, 'x')?.pid === pid), 'it catches up');
    t.ok(await eventually(() => /x has mtu 9000, was 1500/.test(log()) || name !== 'no descriptor is free'), 'and says so');
    await loops(t, netns, 'x');
    cliOk(['detach', 'x', '--netns', netns]);
    t.notMatch(ip('rule'), /proto 86/, 'nothing is left');
  });
}

t.test("a limit that the user has set survives a change of the MTU", { skip: cannotRun }, async (t) => {
  const { ip, log } = quiet(t);
  const segments = (): number => (JSON.parse(ip('-json', '-details', 'link', 'show', 'dev', 'vnet0')) as [{ gso_max_segs: number }])[0].gso_max_segs;
  ip('link', 'set', 'vnet0', 'gso_max_segs', '7');
  ip('link', 'set', 'vnet0', 'mtu', '1400');
  t.ok(await eventually(() => /vnet0 has mtu 1400/.test(log())));
  t.equal(segments(), 7, 'as the user set it');
  ip('link', 'set', 'vnet0', 'mtu', '40000');
  t.ok(await eventually(() => segments() === 1), 'two segments of such an MTU are more than a record holds');
});

t.test('frames that were on the wire when it was set down or deleted are named in the log', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, [...ADDRESSES, '--ring-size', '256K'], 'vnet0', { VNET_BPF_TEST_POLL_DELAY_US: '300000' });
  const { id, ifindex } = attachmentOf(nic);
  const file = path.join(stateDirectory(id), 'log');
  let log = '';
  const read = (): string => (log = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : log);
  const sender = startPersistentSender(t, netns, { ifindex, address: '10.77.0.1' });
  t.ok(await eventually(() => nic.stats().held.now > 0), 'the ring is full');
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'down']);
  t.ok(await eventually(() => /vnet0 refused \d+ frames: it was down/.test(read())), 'set down');
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'up']);
  t.ok(await eventually(() => nic.stats().held.now > 0), 'full again');
  ok('ip', ['-n', netns, 'link', 'del', 'vnet0']);
  t.ok(await eventually(() => kernelLog().slice(-100).some((line) => /vnet0 is gone: .*, and \d+ frames with it/.test(line))), 'deleted');
  process.kill(sender.pid, 'SIGKILL');
});
