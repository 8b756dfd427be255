// SPDX-License-Identifier: MIT
/** vnet0 changes faster than the controller can follow, or when it cannot react: it logs that, and catches up. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { stateDirectory } from '../../src/state/paths';
import { startPersistentSender } from '../helpers/blocking-sender';
import { attachedIn, attachmentOf, cannotRun, cliOk, SLOW } from '../helpers/cli';
import { controllerPid, eventually, listed, lives } from '../helpers/controller';
import { kernelLog } from '../helpers/kernel-log';
import { LOOP_RULES } from '../helpers/looped-rules';
import { ok, okIn, testNetns } from '../helpers/netns';

t.setTimeout(240_000 * SLOW);

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms * SLOW));

/** Asserts that its address answers through the loop. */
function loops(t: Test, netns: string, iface: string): void {
  const received = (): number => {
    const [{ stats64 }] = JSON.parse(ok('ip', ['-n', netns, '-json', '-statistics', 'link', 'show', 'dev', iface])) as [
      { stats64: { rx: { packets: number } } },
    ];
    return stats64.rx.packets;
  };
  const before = received();
  t.match(okIn(netns, 'ping', ['-c', '2', '-W', '5', '10.77.0.1']), / 2 received/, '10.77.0.1 answers');
  t.ok(received() - before >= 4, 'through the loop');
}

/** A quiet vnet0, with functions that read its log. */
function quiet(
  t: Test,
  args: readonly string[] = ADDRESSES,
): { netns: string; pid: number; ip: (...words: string[]) => string; log: () => string } {
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
  t.ok(
    await eventually(() => /vnet0 is called x now/.test(log()) && /x set down|vnet0 set down/.test(log())),
    'the log says both',
  );
  ip('link', 'set', 'x', 'up');
  t.ok(await eventually(() => /x set up/.test(log())), 'and that it is up');
  loops(t, netns, 'x');
  t.equal(controllerPid(netns, 'x'), pid, 'the controller is still the same');
  cliOk(['detach', 'x', '--netns', netns]);
  t.notMatch(ip('rule'), LOOP_RULES, 'its rules are gone');
});

t.test('--hairpin, set down, an address, set up', { skip: cannotRun }, async (t) => {
  const { netns, pid, ip, log } = quiet(t, ['--hairpin']);
  ip('link', 'set', 'vnet0', 'down');
  ip('addr', 'add', '10.77.0.1/24', 'dev', 'vnet0');
  t.ok(await eventually(() => /vnet0 loops 10.77.0.1/.test(log())), 'the address is looped');
  ip('link', 'set', 'vnet0', 'up');
  t.ok(await eventually(() => /vnet0 set up/.test(log())));
  loops(t, netns, 'vnet0');
  t.equal(controllerPid(netns, 'vnet0'), pid, 'the controller is still the same');
});

t.test('renamed to and fro, while another interface takes its names', { skip: cannotRun }, async (t) => {
  const { netns, pid, ip } = quiet(t);
  ip('link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'far');
  for (let i = 0; i < 10; i++) {
    for (const [from, to] of [
      ['vnet0', 'between'],
      ['other', 'vnet0'],
      ['between', 'other'],
    ] as const)
      ip('link', 'set', from, 'name', to);
    await nap(i * 5);
    for (const [from, to] of [
      ['vnet0', 'between'],
      ['other', 'vnet0'],
      ['between', 'other'],
    ] as const)
      ip('link', 'set', from, 'name', to);
  }
  t.ok(await eventually(() => listed(netns, 'vnet0')?.pid === pid), 'it has its name again');
  loops(t, netns, 'vnet0');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.notMatch(ip('rule') + ip('-6', 'rule'), LOOP_RULES, 'no rule is left');
  t.match(ip('link'), 'other', 'the other one is still there');
});

/** Each keeps the controller from reacting to a change until the returned function is called. */
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
    t.ok(
      await eventually(() => /x has mtu 9000, was 1500/.test(log()) || name !== 'no descriptor is free'),
      'and says so',
    );
    loops(t, netns, 'x');
    cliOk(['detach', 'x', '--netns', netns]);
    t.notMatch(ip('rule'), LOOP_RULES, 'nothing is left');
  });
}

t.test('a limit that the user has set survives a change of the MTU', { skip: cannotRun }, async (t) => {
  const { ip, log } = quiet(t);
  const segments = (): number =>
    (JSON.parse(ip('-json', '-details', 'link', 'show', 'dev', 'vnet0')) as [{ gso_max_segs: number }])[0].gso_max_segs;
  ip('link', 'set', 'vnet0', 'gso_max_segs', '7');
  ip('link', 'set', 'vnet0', 'mtu', '1400');
  t.ok(await eventually(() => /vnet0 has mtu 1400/.test(log())));
  t.equal(segments(), 7, 'as the user set it');
  ip('link', 'set', 'vnet0', 'mtu', '40000');
  t.ok(await eventually(() => segments() === 1), 'two segments of such an MTU are more than a record holds');
  ip('link', 'set', 'vnet0', 'mtu', '1500');
  t.ok(await eventually(() => segments() === 7), 'and then as the user set it again');
  ip('link', 'set', 'vnet0', 'mtu', '40000');
  t.ok(await eventually(() => segments() === 1));
  ip('link', 'set', 'vnet0', 'gso_max_segs', '9');
  ip('link', 'set', 'vnet0', 'mtu', '1500');
  t.ok(await eventually(() => /vnet0 has mtu 1500, was 40000(?![^]*40000, was)/.test(log())));
  t.equal(segments(), 9, 'what the user sets meanwhile stays, too');
});

t.test(
  'frames that were on the wire when it was set down or deleted are named in the log',
  { skip: cannotRun },
  async (t) => {
    const netns = testNetns(t);
    const nic = attachedIn(t, netns, [...ADDRESSES, '--ring-size', '256K'], 'vnet0', {
      VNET_BPF_TEST_POLL_DELAY_US: '300000',
    });
    const { id, ifindex } = attachmentOf(nic);
    const file = path.join(stateDirectory(id), 'log');
    let log = '';
    const read = (): string => (log = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : log);
    const sender = startPersistentSender(t, netns, { ifindex, address: '10.77.0.1' });
    t.ok(await eventually(() => nic.stats().held.now > 0), 'the ring is full');
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'down']);
    t.ok(await eventually(() => /vnet0 refused \d+ frames: (down|backlog)/.test(read())), 'set down');
    ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'up']);
    t.ok(await eventually(() => nic.stats().held.now > 0), 'full again');
    ok('ip', ['-n', netns, 'link', 'del', 'vnet0']);
    t.ok(
      await eventually(() =>
        kernelLog()
          .slice(-100)
          .some((line) => /vnet0 is gone: .*, and \d+ frames with it/.test(line)),
      ),
      'deleted',
    );
    process.kill(sender.pid, 'SIGKILL');
  },
);
