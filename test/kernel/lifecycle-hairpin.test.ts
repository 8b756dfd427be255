// SPDX-License-Identifier: MIT
/** --hairpin: addresses that come later are looped, too, and forgotten when they go. */
import t from 'tap';

import { attachedIn, cannotRun, checkAccounting, cli, cliOk } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { LOOP_RULES } from '../helpers/looped-rules';
import { ok, okIn, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const rules = (netns: string): string => ok('ip', ['-n', netns, 'rule']) + ok('ip', ['-n', netns, '-6', 'rule']);

t.test('follows the addresses of the interface', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const nic = attachedIn(t, netns, ['--hairpin']);
  const loops = (...addresses: string[]): boolean => String(listed(netns, 'vnet0')?.addresses) === String(addresses);

  ok('ip', ['-n', netns, 'addr', 'add', '10.77.0.1/24', 'dev', 'vnet0']);
  ok('ip', ['-n', netns, 'addr', 'add', 'fd77::1/64', 'dev', 'vnet0', 'nodad']);
  t.ok(await eventually(() => loops('10.77.0.1', 'fd77::1')), 'list shows both');
  const start = nic.stats().rx.packets;
  for (const address of ['10.77.0.1', 'fd77::1']) {
    t.match(okIn(netns, 'ping', ['-c', '2', address]), / 2 received/, `${address} answers`);
  }
  const stats = await nic.atRest();
  t.ok(stats.rx.packets - start >= 8, 'through the loop');
  checkAccounting(t, nic, stats);

  ok('ip', ['-n', netns, 'addr', 'del', '10.77.0.1/24', 'dev', 'vnet0']);
  t.ok(await eventually(() => loops('fd77::1')), 'the one that went is forgotten');
  // The record, which `list` shows, changes before the namespace does.
  const routes = (): string => ok('ip', ['-n', netns, 'route', 'show', 'table', 'all', 'proto', '86']);
  t.ok(await eventually(() => !routes().includes('10.77.0.1')), 'its route is gone');
  t.ok(await eventually(() => !ok('ip', ['-n', netns, 'neigh']).includes('10.77.0.1')), 'and its neighbour');
  ok('ip', ['-n', netns, 'addr', 'flush', 'dev', 'vnet0', 'scope', 'global']);
  t.ok(await eventually(() => loops()), 'and the other');
  t.ok(await eventually(() => !LOOP_RULES.test(rules(netns))), 'no rule is left while there is no address');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('without it, the rules of the namespace are left alone', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = rules(netns);
  attachedIn(t, netns);
  ok('ip', ['-n', netns, 'addr', 'add', '10.77.0.1/24', 'dev', 'vnet0']);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(rules(netns), before, 'an address that somebody adds changes nothing');
});

t.test('routes that somebody removes are put back, and the log says it once', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  const log = (): string => cliOk(['log', 'vnet0', '--netns', netns]);
  for (const family of ['-4', '-6']) ok('ip', ['-n', netns, family, 'route', 'flush', 'table', 'all', 'proto', '86']);
  t.ok(
    await eventually(() =>
      /vnet0: somebody removed routes of looped addresses, which were not looped meanwhile: they are there again/.test(
        log(),
      ),
    ),
  );
  for (const address of ['10.77.0.1', 'fd77::1']) {
    const before = nic.stats().rx.packets;
    t.match(okIn(netns, 'ping', ['-c', '1', '-W', '1', address]), / 1 received/, `${address} answers`);
    t.ok((await nic.atRest()).rx.packets >= before + 2, 'through the loop');
  }
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'down']);
  ok('ip', ['-n', netns, 'link', 'set', 'vnet0', 'up']);
  t.ok(
    await eventually(() => /dev vnet0/.test(ok('ip', ['-n', netns, 'route', 'show', 'table', 'all', 'proto', '86']))),
    'those that went with the link, too',
  );
  t.equal(log().match(/somebody removed routes/g)?.length, 1, 'without a line');
});

t.test(
  'addresses that vnet0 loses are said to be lost, and looped when they are back',
  { skip: cannotRun },
  async (t) => {
    const netns = testNetns(t);
    const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
    const looped = (): string[] | undefined => listed(netns, 'vnet0')?.addresses;
    const log = (): string => cliOk(['log', 'vnet0', '--netns', netns]);
    const routes = (): string =>
      ['-4', '-6']
        .map((family) => ok('ip', ['-n', netns, family, 'route', 'show', 'table', 'all', 'proto', '86']))
        .join('');
    t.same(looped(), ['10.77.0.1', 'fd77::1']);
    ok('ip', ['-n', netns, 'addr', 'del', '10.77.0.1/24', 'dev', 'vnet0']);
    okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
    t.same(looped(), [], 'list does not show them');
    for (const address of ['10.77.0.1', 'fd77::1'])
      t.ok(
        await eventually(() => new RegExp(`vnet0 has lost .*${address}.*: each is looped again`).test(log())),
        `${address}: the log`,
      );
    t.ok(await eventually(() => routes() === ''), "no route leads to them, as they may be another machine's");
    t.notMatch(ok('ip', ['-n', netns, 'neigh']), '10.77.0.1', 'and the neighbour is gone');
    okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=0']);
    ok('ip', ['-n', netns, 'addr', 'add', '10.77.0.1/24', 'dev', 'vnet0']);
    ok('ip', ['-n', netns, 'addr', 'replace', 'fd77::1/64', 'dev', 'vnet0', 'nodad']);
    t.ok(await eventually(() => /vnet0 has .*10.77.0.1.* again, and loops it/.test(log())));
    t.same(looped(), ['10.77.0.1', 'fd77::1']);
    for (const address of looped() ?? []) {
      t.ok(await eventually(() => routes().includes(address)), `${address} has its route`);
      const before = nic.stats().rx.packets;
      t.match(okIn(netns, 'ping', ['-c', '1', '-W', '1', address]), / 1 received/, `${address} answers`);
      t.ok((await nic.atRest()).rx.packets >= before + 2, 'through the loop');
    }
    t.notMatch(log(), /somebody removed routes/, 'nobody is accused');
  },
);

t.test('an address that lo had before is not looped, and the user is told', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const ip = (...args: string[]): string => ok('ip', ['-n', netns, ...args]);
  const looped = ['10.77.0.1', 'fd77::1'];
  ip('link', 'set', 'lo', 'up');
  for (const address of looped) ip('addr', 'add', address, 'dev', 'lo');
  const attach = [
    'attach',
    'vnet0',
    '--netns',
    netns,
    '--addr',
    '10.77.0.1/24',
    '--addr',
    '10.77.0.2/24',
    '--addr',
    'fd77::1/64',
    '--daemon',
  ];
  const { status, stdout, stderr } = cli(attach);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  t.equal(status, 0);
  t.match(stdout, /^vnet0 in namespace \S+ loops, by process \d+; .*\n$/, 'standard output has its line alone');
  const line = (address: string): string =>
    `vnet0: ${address} is not looped: lo has this address, too, and comes first\n`;
  t.equal(stderr, looped.map((address) => `vnet-bpf: ${line(address)}`).join(''), 'standard error has the warnings');
  const log = (): string => cliOk(['log', 'vnet0', '--netns', netns]);
  t.ok(await eventually(() => looped.every((address) => log().includes(line(address)))), 'and so has the log');
  for (const address of looped) ip('addr', 'del', address, 'dev', 'lo');
  t.ok(
    await eventually(() => looped.every((address) => log().includes(`vnet0: ${address} has no short cut any more\n`))),
    'which says when lo has it no more',
  );
  for (const address of looped) t.match(ip('route', 'get', address), / dev vnet0 /, `${address} is looped then`);
  for (const address of looped) ip('addr', 'add', address, 'dev', 'lo');
  await new Promise((resolve) => setTimeout(resolve, 1500));
  t.equal(log().match(/is not looped/g)?.length, 2, 'one that lo gets later is looped on, without a line');
});
