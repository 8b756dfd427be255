// SPDX-License-Identifier: MIT
/** IPv6 on the interface is restored, whatever makes the kernel initialize it again. */
import t from 'tap';

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
