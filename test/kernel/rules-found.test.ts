// SPDX-License-Identifier: MIT
/** The rules of looped addresses are removed from whatever state is found, including rules of an older version. */
import t, { type Test } from 'tap';

import { keepRules, removeHairpin, syncHairpin } from '../../src/link/hairpin';
import { linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { loopTable } from '../../src/link/rules';
import { cannotRun } from '../helpers/cli';
import { ok, testNetns } from '../helpers/netns';

const FRESH = '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n';

interface Place {
  netns: Netns;
  ip: (...args: string[]) => string;
  ifindex: (name: string) => number;
}

/** A namespace with two interfaces. */
function place(t: Test): Place {
  const name = testNetns(t);
  const netns = Netns.named(name);
  t.teardown(() => netns.close());
  const ip = (...args: string[]): string => ok('ip', ['-n', name, ...args]);
  ip('link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two');
  for (const [link, address] of [
    ['one', '10.77.0.1/24'],
    ['two', '10.78.0.1/24'],
  ] as const) {
    ip('addr', 'add', address, 'dev', link);
    ip('link', 'set', link, 'up');
  }
  return { netns, ip, ifindex: (link) => netns.run(() => linkByName(link))?.ifindex ?? 0 };
}

const ONE = { family: 4, address: '10.77.0.1' } as const;
const TWO = { family: 4, address: '10.78.0.1' } as const;

/** As a version before the first rule looped an address. */
function loopAsBefore({ ip, ifindex }: Place): number {
  const table = loopTable(ifindex('one'));
  ip('route', 'add', '10.77.0.1', 'dev', 'one', 'table', String(table), 'proto', '86');
  ip('rule', 'add', 'pref', '10', 'iif', 'one', 'lookup', 'local', 'proto', '86');
  ip('rule', 'add', 'pref', '20', 'iif', 'lo', 'to', '10.77.0.1', 'lookup', String(table), 'proto', '86');
  ip('rule', 'add', 'pref', '30', 'lookup', 'local', 'proto', '86');
  ip('rule', 'del', 'pref', '0');
  return table;
}

t.test('what an older version looped', { skip: cannotRun }, (t) => {
  const where = place(t);
  const { netns, ip } = where;
  const table = loopAsBefore(where);
  netns.run(() => removeHairpin('one', { addresses: [], table }));
  t.equal(ip('rule'), FRESH, 'its rules are taken back');
  t.equal(ip('route', 'show', 'table', 'all', 'proto', '86'), '', 'with its route');
  t.end();
});

t.test('beside one that an older version loops', { skip: cannotRun }, (t) => {
  const where = place(t);
  const { netns, ip, ifindex } = where;
  const table = loopAsBefore(where);
  const record = netns.run(() => syncHairpin('two', ifindex('two'), [TWO], null));
  t.match(ip('route', 'get', '10.77.0.1'), /dev one/, 'the old one loops');
  t.match(ip('route', 'get', '10.78.0.1'), /dev two/, 'and the new one');
  netns.run(() => removeHairpin('two', record));
  t.match(ip('route', 'get', '10.77.0.1'), /dev one/, 'the old one goes on when the new one is gone');
  netns.run(() => removeHairpin('one', { addresses: [], table }));
  t.equal(ip('rule'), FRESH, 'and nothing is left when both are');
  t.end();
});

t.test('two of them, taken away in either order', { skip: cannotRun }, (t) => {
  for (const [first, last] of [
    ['one', 'two'],
    ['two', 'one'],
  ] as const) {
    const { netns, ip, ifindex } = place(t);
    const records = netns.run(() => ({
      one: syncHairpin('one', ifindex('one'), [ONE], null),
      two: syncHairpin('two', ifindex('two'), [TWO], null),
    }));
    ip('rule', 'flush');
    ip('rule', 'add', 'pref', '32766', 'table', 'main');
    t.strictSame(
      netns.run(() => keepRules(records.one)).map(({ add }) => add.length),
      [2],
      'after a flush each sees to its own',
    );
    netns.run(() => keepRules(records.two));
    for (const [address, link] of [
      ['10.77.0.1', 'one'],
      ['10.78.0.1', 'two'],
    ] as const)
      t.match(ip('route', 'get', address), `dev ${link}`, `${address} loops`);
    netns.run(() => removeHairpin(first, records[first], linkByName(first)));
    t.match(
      ip('route', 'get', last === 'one' ? '10.77.0.1' : '10.78.0.1'),
      `dev ${last}`,
      `${last} loops without ${first}`,
    );
    netns.run(() => removeHairpin(last, records[last], linkByName(last)));
    t.equal(ip('rule'), '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n', 'nothing is left');
    t.equal(ip('neigh'), '', 'no neighbour either');
  }
  t.end();
});

t.test('a rule for the local table that somebody has moved while an interface is looped', { skip: cannotRun }, (t) => {
  const { netns, ip, ifindex } = place(t);
  const record = netns.run(() => syncHairpin('one', ifindex('one'), [ONE], null));
  ip('rule', 'add', 'pref', '32765', 'lookup', 'local');
  ip('rule', 'del', 'pref', '0');
  ip('rule', 'add', 'pref', '1000', 'fwmark', '1', 'lookup', '100');
  netns.run(() => keepRules(record));
  t.match(
    ip('rule'),
    /^1000:.*\n32764:\tfrom all iif lo lookup 1447\d+ *\n32765:\tfrom all lookup local/,
    'ours is right before it',
  );
  netns.run(() => removeHairpin('one', record));
  t.match(ip('rule'), /^1000:.*\n32765:\tfrom all lookup local *\n32766:/, 'and his order is left');
  t.end();
});

t.test('a rule for the local table that somebody has moved as the kernel would make it', { skip: cannotRun }, (t) => {
  const { netns, ip, ifindex } = place(t);
  ip('rule', 'add', 'pref', '100', 'lookup', 'local', 'proto', 'kernel');
  ip('rule', 'del', 'pref', '0', 'lookup', 'local');
  const before = ip('rule');
  const record = netns.run(() => syncHairpin('one', ifindex('one'), [ONE], null));
  t.match(ip('rule'), /^98:\tfrom all iif lo lookup 1447\d+ *\n100:\tfrom all lookup local *\n32766:/, 'it stays');
  t.match(ip('route', 'get', '10.77.0.1'), /dev one/, 'and the address is looped');
  netns.run(() => removeHairpin('one', record));
  t.equal(ip('rule'), before, 'and nothing else is left');
  t.end();
});
