// SPDX-License-Identifier: MIT
/** IPv6 on the interface is restored, whatever makes the kernel initialize it again. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';

import t from 'tap';

import { Repairs } from '../../src/controller/supervisor';
import { addresses } from '../../src/link/addresses';
import { Ipv6Keeper, withoutAddressDetection } from '../../src/link/ipv6';
import { type Link, linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { attachedIn, cannotRun, cliOk } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ok, okIn, testNetns } from '../helpers/netns';

t.test('an MTU that is too small for IPv6, and back; the sysctl; down and up', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, ['--addr', 'fd77::1/64', '--addr', 'fd77::2/64']);
  const set = (...what: string[]): string => ok('ip', ['-n', netns, 'link', 'set', 'dev', 'vnet0', ...what]);
  const detection = (): string => okIn(netns, 'cat', ['/proc/sys/net/ipv6/conf/vnet0/accept_dad']).trim();
  const show = (): string => ok('ip', ['-n', netns, '-6', 'addr', 'show', 'dev', 'vnet0']);
  const asBefore = (): boolean =>
    detection() === '0' &&
    !/tentative/.test(show()) &&
    /fe80::/.test(show()) &&
    /fd77::1.64/.test(show()) &&
    /fd77::2.64/.test(show());
  const loops = (): boolean => {
    const before = nic.stats().rx.packets;
    return (
      / 1 received/.test(okIn(netns, 'sh', ['-c', 'ping -c 1 -W 1 -I fd77::1 fd77::2 || true'])) &&
      nic.stats().rx.packets >= before + 2
    );
  };
  t.ok(await eventually(asBefore), 'at first');
  const changes: [string, () => unknown][] = [
    [
      'for a while',
      async () => (set('mtu', '1000'), await new Promise((resolve) => setTimeout(resolve, 200)), set('mtu', '1500')),
    ],
    ['at once', () => (set('mtu', '1279'), set('mtu', '9000'))],
    ['by the sysctl', () => okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.vnet0.accept_dad=1'])],
  ];
  for (const [name, change] of changes) {
    await change();
    t.ok(await eventually(asBefore, 1900), `${name}: no detection of duplicates, and the same addresses`);
    t.ok(await eventually(loops, 2000), `${name}: they loop`);
  }
  t.match(cliOk(['log', 'vnet0', '--netns', netns]), /detection of duplicate addresses was on/, 'the log says it');
  for (let i = 0; i < 5; i++) {
    set('down');
    set('up');
  }
  t.equal(detection(), '0', 'nor is there after down and up in quick turns');
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.notMatch(show(), /tentative/, 'and no address is tentative');
});

t.test('addresses that cannot be restored at first', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  attachedIn(t, netns, ['--addr', 'fd77::1/64']);
  const has = (): boolean => /fd77::1.64/.test(ok('ip', ['-n', netns, '-6', 'addr', 'show', 'dev', 'vnet0']));
  const logged = (): boolean => /IPv6 of vnet0: .*tried again/.test(cliOk(['log', 'vnet0', '--netns', netns]));
  okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  ok('ip', ['-n', netns, 'link', 'set', 'dev', 'vnet0', 'mtu', '1000']);
  ok('ip', ['-n', netns, 'link', 'set', 'dev', 'vnet0', 'mtu', '1500']);
  t.ok(await eventually(logged), 'IPv6 is switched off when it starts anew');
  okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.vnet0.disable_ipv6=0']);
  t.ok(await eventually(has), 'they are back once it is on');
});

t.test('the MTU falls and rises at any moment of a look', { skip: cannotRun }, async (t) => {
  using netns = Netns.named(testNetns(t));
  const ip = (...args: string[]): string => netns.run(() => ok('ip', args));
  ip('link', 'add', 'x', 'up', 'type', 'veth', 'peer', 'name', 'y');
  ip('link', 'set', 'y', 'up');
  ip('addr', 'add', 'fd77::1/64', 'dev', 'x', 'nodad');
  const keeper = new Ipv6Keeper();
  const look = (): boolean => netns.run(() => keeper.look(linkByName('x') as Link, () => true));
  netns.run(() => withoutAddressDetection('x'));
  look();
  const changes = netns.run(() => spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] }));
  const ended = new Promise((resolve) => changes.once('close', resolve));
  let turns = 0;
  let isOver = false;
  void ended.then(() => (isOver = true));
  changes.stdin.end('link set x mtu 1000\nlink set x mtu 1500\n'.repeat(300));
  for (; !isOver; turns++) {
    try {
      look();
    } catch {
      // an address cannot be set while IPv6 ends: the next look sets it
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.comment(`${turns} looks`);
  look();
  look();
  const left = netns.run(() => addresses('x')).map(({ address }) => address);
  t.ok(left.includes('fd77::1'), 'the address is there in the end');
});

t.test('there is no fight with somebody who keeps switching detection on', { skip: cannotRun }, async (t) => {
  using netns = Netns.named(testNetns(t));
  const ip = (...args: string[]): string => netns.run(() => ok('ip', args));
  ip('link', 'add', 'x', 'up', 'type', 'veth', 'peer', 'name', 'y');
  ip('link', 'set', 'y', 'up');
  ip('addr', 'add', 'fd77::1/64', 'dev', 'x', 'nodad');
  netns.run(() => withoutAddressDetection('x'));
  const file = '/proc/sys/net/ipv6/conf/x/accept_dad';
  const log: string[] = [];
  const repairs = new Repairs((text) => log.push(text));
  const keeper = new Ipv6Keeper();
  const look = (): boolean =>
    netns.run(() => keeper.look(linkByName('x') as Link, () => repairs.may('accept_dad', () => 'a fight')));
  const has = (): string[] => netns.run(() => addresses('x')).map(({ address }) => address);
  look();
  const undone = Array.from({ length: 30 }, () => {
    netns.run(() => fs.writeFileSync(file, '1'));
    return look();
  });
  t.equal(undone.filter(Boolean).length, 20, 'as many repairs as are no fight');
  t.same(log, ['a fight']);
  t.equal(
    netns.run(() => fs.readFileSync(file, 'utf8')),
    '1\n',
    'it is left alone',
  );
  ip('link', 'set', 'x', 'mtu', '1000');
  ip('link', 'set', 'x', 'mtu', '1500');
  look();
  t.ok(has().includes('fd77::1'), 'a new start of IPv6 is followed meanwhile');
});
