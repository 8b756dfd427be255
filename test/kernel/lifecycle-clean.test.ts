// SPDX-License-Identifier: MIT
/** However an attachment ends, the machine is as it was. */
import t from 'tap';

import { attachedIn, cannotRun, checkAccounting, cli, cliOk, cliStart } from '../helpers/cli';
import { eventually, listed, lives } from '../helpers/controller';
import { okIn, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];

t.test('attach --daemon, then detach', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  attachedIn(t, netns, ADDRESSES);
  okIn(netns, 'ping', ['-c', '1', '10.77.0.1']);
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`attach in the foreground, then ${signal}`, { skip: cannotRun }, async (t) => {
    const netns = testNetns(t);
    const before = snapshot(netns);
    const child = cliStart(t, ['attach', 'vnet0', '--netns', netns, ...ADDRESSES]);
    t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
    let errors = '';
    child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    okIn(netns, 'ping', ['-c', '1', 'fd77::1']);
    const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.once('exit', (code, by) => resolve([code, by])),
    );
    child.kill(signal);
    t.same(await ended, [0, null], 'it detaches and ends well');
    t.equal(errors, '', 'without a complaint');
    await sameAs(t, before, 'nothing is left', netns);
  });
}

t.test('attach --replace over a running one', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  attachedIn(t, netns, ADDRESSES);
  const old = listed(netns, 'vnet0');
  const nic = attachedIn(t, netns, [...ADDRESSES, '--replace', '--budget', '32']);
  const replaced = listed(netns, 'vnet0');
  t.ok(old && replaced && old.pid !== replaced.pid, 'another process has it');
  t.equal(replaced?.budget, 32, 'with the options of the second');
  t.notOk(lives(old?.pid as number), 'the first has ended');
  t.match(okIn(netns, 'ping', ['-c', '2', '10.77.0.1']), /2 received/, 'it loops');
  checkAccounting(t, nic, await nic.atRest());
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('a killed controller is listed as crashed, and detach removes what it left', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  attachedIn(t, netns, ADDRESSES);
  const { pid } = listed(netns, 'vnet0') as { pid: number };
  process.kill(pid, 'SIGKILL');
  t.ok(await eventually(() => !lives(pid)), 'it is dead');
  t.ok(await eventually(() => listed(netns, 'vnet0')?.state === 'crashed'), 'list says so');
  const stats = JSON.parse(cliOk(['stats', 'vnet0', '--netns', netns, '--json'])) as { state: string };
  t.equal(stats.state, 'crashed', 'stats can still be read, and say so');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});
