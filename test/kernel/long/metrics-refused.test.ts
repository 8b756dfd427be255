// SPDX-License-Identifier: MIT
/** Metrics that cannot be served leave nothing behind; who does not ask for them does not pay for them. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { hookDirectory } from '../../helpers/hook-file';
import { quietNetns, run } from '../../helpers/netns';
import { refused } from '../../helpers/refusal';
import { sameAs, snapshot } from '../../helpers/snapshot';

t.setTimeout(120_000 * SLOW);

/** Something that has a port already. */
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
    { args: [...attach, '--metrics', '9100'], status: 2, says: /--metrics "9100": is not an address and a port/, hints: /127\.0\.0\.1:9100/ },
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

t.test('who does not ask for it does not load it', { skip: cannotRun }, async (t) => {
  const spy = path.join(hookDirectory(t), 'spy.cjs');
  fs.writeFileSync(spy, "process.on('exit', () => console.error(Object.keys(require.cache).filter((file) => /prom-client|terminal-kit/.test(file)).length));\n");
  const loaded = (...args: string[]): number => Number(run('env', ['-u', 'NODE_OPTIONS', process.execPath, '-r', spy, MAIN, ...args]).stderr.trim().split('\n').at(-1));
  for (const args of [['list'], ['stats', '--json']]) t.equal(loaded(...args), 0, args.join(' '));
  t.ok(loaded('stats', '--prometheus') > 0, 'this one does');
});
