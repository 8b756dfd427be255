// SPDX-License-Identifier: MIT
/** vnet0 is removed under the controller while packets flow: the controller logs that, ends, and leaves nothing. */
import t from 'tap';

import { Background } from '../helpers/background';
import { attachedIn, cannotRun, cli, cliStart } from '../helpers/cli';
import { controllerPid, eventually, lives } from '../helpers/controller';
import { kernelLog } from '../helpers/kernel-log';
import { ok, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];

interface Abuse {
  what: string;
  /** Removes the interface. */
  act: (netns: string, other: string, iface: string) => void;
  /** The namespace survives. */
  netnsStays: boolean;
}

const ABUSES: Abuse[] = [
  { what: 'deleted', act: (netns, _, iface) => ok('ip', ['-n', netns, 'link', 'del', iface]), netnsStays: true },
  {
    what: 'moved to another namespace',
    act: (netns, other, iface) => ok('ip', ['-n', netns, 'link', 'set', iface, 'netns', other]),
    netnsStays: true,
  },
  { what: 'deleted with its namespace', act: (netns) => ok('ip', ['netns', 'del', netns]), netnsStays: false },
];

for (const { what, act, netnsStays } of ABUSES) {
  t.test(what, { skip: cannotRun }, async (t) => {
    const other = testNetns(t);
    const outside = snapshot(other);
    const netns = testNetns(t);
    const before = snapshot(other, netns);
    // A name that occurs in no other test's lines in the kernel log.
    const iface = `v${netns.slice(2)}`;
    attachedIn(t, netns, ADDRESSES, iface);
    const pid = controllerPid(netns, iface);
    const flood = Background.start(t, netns, 'ping', ['-q', '-i', '0.002', '10.77.0.1']);
    await new Promise((resolve) => setTimeout(resolve, 300));

    act(netns, other, iface);
    // A namespace lives as long as a process is in it, and so does the interface, and the loop.
    if (!netnsStays) await flood.stop('SIGKILL');
    t.ok(await eventually(() => !lives(pid)), 'the controller ends by itself');
    await flood.stop('SIGKILL');
    const lines = kernelLog().filter((line) => line.includes(iface));
    t.ok(
      lines.some((line) => /^VNET: .* is gone/.test(line)),
      'it says so in the kernel log',
    );
    t.match(lines.at(-1), /^VNET: unloaded/, 'and that it has detached');
    t.notMatch(cli(['list']).stdout, iface, 'it is not listed any more');
    if (netnsStays) await sameAs(t, before, 'nothing is left', other, netns);
    else await sameAs(t, outside, 'nothing is left', other);
  });
}

t.test('in the foreground it says on stderr why it ends, and fails', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const child = cliStart(t, ['attach', 'vnet0', '--netns', netns]);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  const ended = new Promise((resolve) => child.once('close', resolve));
  ok('ip', ['-n', netns, 'link', 'del', 'vnet0']);
  t.equal(await ended, 1, 'exit code 1');
  t.match(errors, /^vnet-bpf: interface vnet0: .*deleted.*\nhint: .*\n$/, 'one line and a hint');
  await sameAs(t, before, 'nothing is left', netns);
});

t.test(
  'the namespace of a crashed one is deleted: detach still finds what is left, by its name',
  { skip: cannotRun },
  async (t) => {
    const outside = snapshot();
    const netns = testNetns(t);
    snapshot(netns); // anything left of it later is ours
    attachedIn(t, netns, ADDRESSES);
    const pid = controllerPid(netns, 'vnet0');
    process.kill(pid, 'SIGKILL');
    t.ok(await eventually(() => !lives(pid)), 'its controller is dead');
    ok('ip', ['netns', 'del', netns]);
    t.equal(cli(['detach', 'vnet0', '--netns', netns]).status, 0);
    t.equal(cli(['detach', 'vnet0', '--netns', netns]).status, 1, 'once');
    await sameAs(t, outside, 'nothing is left');
  },
);
