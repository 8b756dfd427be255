// SPDX-License-Identifier: MIT
/** Interfaces that attach must not take, or that do not exist. */
import * as fs from 'node:fs';

import t from 'tap';

import { attachedIn, cannotRun, SLOW } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { ok, okIn, testNetns } from '../helpers/netns';
import { refused } from '../helpers/refusal';
import { sameAs, snapshot } from '../helpers/snapshot';

t.setTimeout(120_000 * SLOW);

t.test('what others made is refused by name and left alone', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'br0', 'type', 'bridge']);
  ok('ip', ['-n', netns, 'tuntap', 'add', 'tap0', 'mode', 'tap']);
  const before = snapshot(netns);
  const at = ['--netns', netns];
  await refused(t, [
    { args: ['attach', 'lo'], status: 1, says: /lo.*loopback/ },
    // The namespace that the machine was started with; not every machine has an eth0 there.
    ...(fs.existsSync('/sys/class/net/eth0') ? [{ args: ['attach', 'eth0'], status: 1, says: /eth0/ } as const] : []),
    { args: ['attach', 'lo', ...at], status: 1, says: /lo.*loopback/ },
    { args: ['attach', 'lo', ...at, '--replace'], status: 1, says: /lo.*loopback/ },
    { args: ['attach', 'br0', ...at], status: 1, says: /br0.*bridge/, hints: /vnet0/ },
    { args: ['attach', 'tap0', ...at, '--daemon'], status: 1, says: /tap0.*tun/, hints: /vnet0/ },
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});

t.test('a name that another interface has besides its own', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const at = ['--netns', netns];
  const add = (...words: string[]): string => ok('ip', ['-n', netns, 'link', ...words]);
  add('add', 'other0', 'type', 'bridge');
  add('property', 'add', 'dev', 'other0', 'altname', 'vnet0');
  attachedIn(t, netns, [], 'vnet1');
  add('property', 'add', 'dev', 'vnet1', 'altname', 'mine0');
  const before = snapshot(netns);
  const taken = (args: string[], says: RegExp): Parameters<typeof refused>[1][number] => ({
    args: ['attach', ...args, ...at],
    status: 1,
    says,
    hints: new RegExp(`^hint: choose another name: vnet-bpf attach vnet2 --netns ${netns}$`, 'm'),
  });
  await refused(t, [
    taken(['vnet0'], /vnet0: another interface has this name, too: other0/),
    taken(['mine0'], /mine0: another interface has this name, too: vnet1/),
    taken(['lo'], /lo: .*loopback/),
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});

t.test('an address of IPv6 where there is no IPv6', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const sysctl = (name: string, value: number): string =>
    okIn(netns, 'sysctl', ['-qw', `net.ipv6.conf.${name}.disable_ipv6=${value}`]);
  const args = ['attach', 'vnet0', '--netns', netns, '--addr', 'fd77::1/64'];
  for (const scope of ['all', 'default']) {
    sysctl(scope, 1);
    const expected = {
      status: 1,
      says: new RegExp(`IPv6 is switched off in its namespace \\(net.ipv6.conf.${scope}.disable_ipv6 is 1\\)`),
      hints: new RegExp(`sysctl -w net.ipv6.conf.${scope}.disable_ipv6=0`),
    } as const;
    const before = snapshot(netns);
    await refused(t, [
      { args, ...expected },
      { args: [...args, '--dry-run'], ...expected },
    ]);
    await sameAs(t, before, `${scope}: nothing has changed`, netns);
    sysctl('all', 0);
  }
  sysctl('default', 0);
  attachedIn(t, netns, ['--addr', 'fd77::1/64']);
});

t.test('what is not attached, and where there is no namespace', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const at = ['--netns', netns];
  const nowhere = ['--netns', 'no-such-netns'];
  await refused(t, [
    { args: ['detach', 'vnet0', ...at], status: 1, says: /vnet0.*not attached/ },
    { args: ['detach', 'lo', ...at], status: 1, says: /lo.*not attached/ },
    { args: ['stats', 'vnet0', ...at], status: 1, says: /vnet0.*not attached/ },
    { args: ['stats', 'vnet0', ...at, '--json'], status: 1, says: /vnet0.*not attached/ },
    { args: ['log', 'vnet0', ...at], status: 1, says: /vnet0.*not attached/ },
    { args: ['attach', 'vnet0', ...nowhere], status: 1, says: /no-such-netns/, hints: /ip netns/ },
    { args: ['detach', 'vnet0', ...nowhere], status: 1, says: /no-such-netns/ },
    { args: ['stats', 'vnet0', ...nowhere], status: 1, says: /no-such-netns/ },
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});

t.test('what is attached already, and where', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const elsewhere = testNetns(t);
  attachedIn(t, netns, ['--addr', '10.77.0.1/24']);
  const pid = listed(netns, 'vnet0')?.pid;
  t.ok(
    await eventually(() => !ok('ip', ['-n', netns, 'addr']).includes('tentative')),
    'duplicate address detection is over',
  );
  const before = snapshot(netns, elsewhere);
  await refused(t, [
    {
      args: ['attach', 'vnet0', '--netns', netns],
      status: 1,
      says: new RegExp(`vnet0.*already.*process ${pid}`),
      hints: /--replace/,
    },
    {
      args: ['attach', 'vnet0', '--netns', netns, '--daemon', '--json'],
      status: 1,
      says: new RegExp(`already.*process ${pid}`),
    },
    {
      args: ['detach', 'vnet0', '--netns', elsewhere],
      status: 1,
      says: /not attached/,
      hints: new RegExp(`vnet0.*${netns}`),
    },
  ]);
  await sameAs(t, before, 'it goes on as it was', netns, elsewhere);
});

t.test('a hint is about the interface that was meant, where it is', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  attachedIn(t, netns, ['--queues', '2']);
  const at = ['--netns', netns];
  const here = new RegExp(`vnet0 --netns ${netns}`);
  await refused(t, [
    {
      args: ['attach', 'vnet0', ...at],
      status: 1,
      says: /attached already/,
      hints: new RegExp(`^hint: vnet-bpf detach vnet0 --netns ${netns}, or attach with --replace$`),
    },
    { args: ['attach', 'vnet0', ...at, '--daemon'], status: 1, says: /attached already/, hints: here },
    { args: ['hook', 'vnet0', ...at], status: 2, says: /give a file or --none/, hints: here },
    { args: ['impair', 'vnet0', ...at], status: 2, says: /--clear/, hints: here },
    {
      args: ['step', 'vnet0', ...at],
      status: 1,
      says: /it has 2 queues/,
      hints: new RegExp(`^hint: vnet-bpf attach vnet0 --netns ${netns} --replace, `),
    },
    // A name that no interface has there.
    {
      args: ['stats', 'vnet0'],
      status: 1,
      says: /not attached/,
      hints: new RegExp(`did you mean vnet0 --netns ${netns}\\?`),
    },
    {
      args: ['detach', 'vnte0', ...at],
      status: 1,
      says: /not attached/,
      hints: new RegExp(`did you mean vnet0 --netns ${netns}\\?`),
    },
    {
      args: ['log', 'vnet0', '--netns', `${netns}x`],
      status: 1,
      says: /there is none of that name/,
      hints: new RegExp(`did you mean --netns ${netns.slice(0, -1)}`),
    },
    {
      args: ['impair', 'vnet0', ...at, 'satelite'],
      status: 2,
      says: /"satelite": is not something/,
      hints: /did you mean satellite\?/,
    },
  ]);
});
