// SPDX-License-Identifier: MIT
/** Our own requests to the kernel return what iproute2 shows. */
import t from 'tap';

import { addresses } from '../../src/link/addresses';
import { linkByIndex, linkByName, links, qdiscsOf, transmittedFramesOf } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { rules } from '../../src/link/rules';
import { cannotRun } from '../helpers/cli';
import { ok, run, testNetns } from '../helpers/netns';

const json = <T>(netns: string, args: readonly string[]): T[] =>
  JSON.parse(ok('ip', ['-n', netns, '-json', ...args]) || '[]') as T[];

t.test('links', { skip: cannotRun }, (t) => {
  const name = testNetns(t);
  ok('ip', [
    '-n',
    name,
    'link',
    'add',
    'left',
    'address',
    '02:00:00:00:00:01',
    'mtu',
    '9000',
    'type',
    'veth',
    'peer',
    'name',
    'fifteen_letters',
  ]);
  ok('ip', ['-n', name, 'link', 'add', 'bridge', 'type', 'bridge']);
  ok('ip', ['-n', name, 'link', 'set', 'fifteen_letters', 'master', 'bridge', 'up']);
  // More than fits into one datagram of the kernel.
  for (let i = 0; i < 40; i++)
    ok('ip', ['-n', name, 'link', 'add', 'link', 'left', 'name', `m${i}`, 'type', 'macvlan', 'mode', 'private']);
  using netns = Netns.named(name);
  const said = json<{
    ifname: string;
    ifindex: number;
    flags: string[];
    address: string;
    mtu: number;
    linkinfo?: { info_kind: string };
  }>(name, ['-d', 'link']);
  const found = netns.run(links);
  t.strictSame(
    found.map((link) => [link.name, link.ifindex, link.up, link.mac, link.mtu, link.kind]),
    said.map((link) => [
      link.ifname,
      link.ifindex,
      link.flags.includes('UP'),
      link.address,
      link.mtu,
      link.linkinfo?.info_kind ?? null,
    ]),
  );
  const left = netns.run(() => linkByName('left'));
  const right = netns.run(() => linkByName('fifteen_letters'));
  t.equal(left?.peerIfindex, right?.ifindex, 'each end of a veth knows the other');
  t.equal(right?.peerIfindex, left?.ifindex);
  t.strictSame(
    netns.run(() => linkByIndex(right?.ifindex ?? 0)),
    right,
  );
  t.equal(
    netns.run(() => linkByName('none')),
    null,
  );
  t.equal(
    netns.run(() => linkByIndex(1_000_000)),
    null,
  );
  t.end();
});

t.test('frames that were sent, and those that wait', { skip: cannotRun }, (t) => {
  const name = testNetns(t);
  ok('ip', ['-n', name, 'link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right']);
  ok('ip', ['-n', name, 'link', 'set', 'left', 'up']);
  ok('ip', ['-n', name, 'link', 'set', 'right', 'up']);
  using netns = Netns.named(name);
  ok('ip', ['-n', name, 'addr', 'add', '10.1.2.3/24', 'dev', 'left']);
  ok('ip', ['-n', name, 'neigh', 'add', '10.1.2.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'left']);
  ok('tc', [
    '-n',
    name,
    'qdisc',
    'add',
    'dev',
    'left',
    'root',
    'tbf',
    'rate',
    '8bit',
    'burst',
    '2000',
    'limit',
    '100000',
  ]);
  // No host answers.
  run('ip', ['netns', 'exec', name, 'ping', '-c', '3', '-i', '0.01', '-W', '1', '-s', '1200', '10.1.2.9']);
  const said = json<{ stats64: { tx: { packets: number } } }>(name, ['-s', 'link', 'show', 'dev', 'left'])[0];
  const left = netns.run(() => linkByName('left'));
  t.equal(
    netns.run(() => transmittedFramesOf(left?.ifindex ?? 0)),
    said?.stats64.tx.packets,
  );
  t.equal(
    netns.run(() => transmittedFramesOf(1_000_000)),
    null,
  );
  const tbf = netns.run(() => qdiscsOf('left'));
  t.equal(tbf.length, 1);
  t.match(tbf[0], { kind: 'tbf' });
  t.ok(
    (tbf[0]?.qlen ?? 0) >= 2 && (tbf[0]?.backlog ?? 0) > 2 * 1200,
    `${tbf[0]?.qlen} frames of ${tbf[0]?.backlog} bytes wait`,
  );
  t.strictSame(
    netns.run(() => qdiscsOf('none')),
    [],
  );
  t.end();
});

t.test('addresses and rules', { skip: cannotRun }, (t) => {
  const name = testNetns(t);
  ok('ip', ['-n', name, 'link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right']);
  ok('ip', ['-n', name, 'link', 'set', 'left', 'up']);
  for (const address of ['10.1.2.3/24', 'fd77::1:0:0:1/64', '::ffff:1.2.3.4/128'])
    ok('ip', ['-n', name, 'addr', 'add', address, 'dev', 'left']);
  ok('ip', ['-n', name, 'addr', 'add', '10.9.0.1', 'peer', '10.9.0.2/32', 'dev', 'left']);
  using netns = Netns.named(name);
  const said = json<{ addr_info: { family: string; local: string; prefixlen: number; scope: string }[] }>(name, [
    'addr',
    'show',
    'dev',
    'left',
  ])[0];
  const found = netns.run(() => addresses('left'));
  t.ok(found.length >= 4);
  t.strictSame(
    found.map((entry) => [entry.family, entry.prefix, entry.global]),
    said?.addr_info.map((entry) => [entry.family === 'inet' ? 4 : 6, entry.prefixlen, entry.scope === 'global']),
  );
  // RFC 5952 writes ::ffff:1.2.3.4, and either text is the same address.
  t.strictSame(
    found.map((entry) => new URL(`http://${entry.family === 4 ? entry.address : `[${entry.address}]`}`).hostname),
    said?.addr_info.map(
      (entry) => new URL(`http://${entry.family === 'inet' ? entry.local : `[${entry.local}]`}`).hostname,
    ),
  );
  ok('ip', [
    '-n',
    name,
    'rule',
    'add',
    'priority',
    '7',
    'iif',
    'left',
    'to',
    '10.1.2.3/32',
    'lookup',
    '70000',
    'protocol',
    '86',
  ]);
  ok('ip', ['-n', name, '-6', 'rule', 'add', 'priority', '9', 'from', 'fd77::/64', 'to', 'fd78::1', 'lookup', 'local']);
  t.has(netns.run(() => rules(4))[1], { priority: 7, table: 70000, protocol: 86, to: '10.1.2.3', iif: 'left' });
  t.match(netns.run(() => rules(6))[1], { priority: 9, table: 255, special: true, to: 'fd78::1' });
  for (const family of [4, 6] as const) {
    t.strictSame(
      netns.run(() => rules(family)).map(({ priority }) => priority),
      json<{ priority: number }>(name, [`-${family}`, 'rule']).map(({ priority }) => priority),
      'in the same order',
    );
  }
  t.end();
});
