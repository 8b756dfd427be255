// SPDX-License-Identifier: MIT
/** Metrics that cannot be served leave nothing behind. */
import * as net from 'node:net';

import t, { type Test } from 'tap';

import { cannotRun, cli, cliOk, SLOW } from '../../helpers/cli';
import { listed } from '../../helpers/controller';
import { quietNetns } from '../../helpers/netns';
import { refused } from '../../helpers/refusal';
import { sameAs, snapshot } from '../../helpers/snapshot';

t.setTimeout(120_000 * SLOW);

/** A server that has a port already. */
async function occupied(t: Test): Promise<string> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

t.test('what cannot be served is refused, and nothing stays behind', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const taken = await occupied(t);
  const before = snapshot(netns);
  const attach = ['attach', 'vnet0', '--netns', netns];
  await refused(t, [
    {
      args: [...attach, '--metrics', '9100'],
      status: 2,
      says: /--metrics "9100": is not an address and a port/,
      hints: /127\.0\.0\.1:9100/,
    },
    { args: [...attach, '--metrics', 'localhost:9100', '--daemon'], status: 2, says: /"localhost" is not an address/ },
    { args: [...attach, '--metrics', '[::1]:1', '--metrics', '[::1]:2'], status: 2, says: /--metrics.*twice/ },
    { args: ['stats', '--json', '--prometheus'], status: 2, says: /--json and --prometheus/ },
    { args: [...attach, '--metrics', taken], status: 1, says: /port is in use/, hints: /another port/ },
    { args: [...attach, '--metrics', taken, '--daemon'], status: 1, says: /port is in use/ },
    { args: [...attach, 'vnet1', '--metrics', taken, '--replace', '--daemon'], status: 1, says: /port is in use/ },
    { args: [...attach, '--metrics', '192.0.2.1:0'], status: 1, says: /no such address/ },
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});

t.test(
  'a port that somebody else has does not cost the interface that was to be replaced',
  { skip: cannotRun },
  async (t) => {
    const netns = quietNetns(t);
    const taken = await occupied(t);
    t.teardown(() => ['vnet0', 'vnet1', 'vnet2'].forEach((iface) => cli(['detach', iface, '--netns', netns])));
    cliOk(['attach', 'vnet0', '--netns', netns, '--daemon']);
    cliOk(['attach', 'vnet1', 'vnet2', '--netns', netns, '--metrics', '127.0.0.1:0', '--daemon']);
    const ours = new URL(listed(netns, 'vnet1')?.metrics ?? '').host;
    const pids = (): unknown[] => ['vnet0', 'vnet1', 'vnet2'].map((iface) => listed(netns, iface)?.pid);
    const before = pids();
    const replace = (...args: string[]): string[] => ['attach', '--netns', netns, '--replace', '--daemon', ...args];
    await refused(t, [
      { args: replace('vnet0', '--metrics', taken), status: 1, says: /port is in use/, hints: /another port/ },
      // The process that serves vnet1 also loops vnet2, and continues.
      { args: replace('vnet1', '--metrics', ours), status: 1, says: /port is in use/ },
      { args: replace('vnet0', '--metrics', ours), status: 1, says: /port is in use/ },
    ]);
    t.same(pids(), before, 'all are looped as before');
    cliOk(replace('vnet1', 'vnet2', '--metrics', ours));
    t.equal(
      new URL(listed(netns, 'vnet2')?.metrics ?? '').host,
      ours,
      'who is replaced altogether gives the port away',
    );
  },
);
