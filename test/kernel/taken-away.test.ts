// SPDX-License-Identifier: MIT
/**
 * A part of an attachment is removed: the controller notices it, logs it, and restores the part, or the attachment ends
 * and leaves nothing.
 */
import * as fs from 'node:fs';

import t from 'tap';

import { pinDirectory } from '../../src/state/bpffs';
import { stateDirectory } from '../../src/state/paths';
import { attachedIn, attachmentOf, cannotRun, cli, SLOW } from '../helpers/cli';
import { eventually, lives } from '../helpers/controller';
import { FAULTS } from '../helpers/faults';
import { kernelLog } from '../helpers/kernel-log';
import { ok, okIn, testNetns } from '../helpers/netns';
import { PrivateMachine } from '../helpers/private-machine';
import { Random } from '../helpers/random';
import { sameAs, snapshot } from '../helpers/snapshot';

t.setTimeout(300_000 * SLOW);

const ADDRESSES = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];

/**
 * Faults by their names in helpers/faults.ts, with the line that the log has for each. IFACE stands for the interface.
 */
const PUT_BACK: Readonly<Record<string, RegExp>> = {
  "waiting room's tbf removed": /somebody removed the tbf of the waiting room of IFACE: put back/,
  "waiting room's entry set down": /somebody set the waiting room of IFACE down: put back/,
  'peer set down': /somebody set the peer of IFACE down: put back/,
  'peer namespace unmounted': /somebody unmounted the peer namespace: put back/,
  'all pins removed': /somebody removed pins of IFACE \(ring0, .*\): put back/,
  'record damaged': /the record of IFACE is not there, or not as it was written: put back/,
  'lock removed': /somebody removed the lock of IFACE: put back/,
  'state directory removed': /somebody removed the control socket of IFACE: put back/,
  'netlink socket of the watch closed': /the watch over IFACE has ended: put back/,
};

const ENDS: Readonly<Record<string, RegExp>> = {
  'program tx detached': /somebody detached the program tx of IFACE: it cannot go on without/,
  'program sink detached': /somebody detached the program sink of IFACE/,
  'program resegment detached': /somebody detached the program resegment of IFACE/,
  'program release detached': /somebody detached the program release of IFACE/,
  'waiting room removed': /somebody removed the waiting room of IFACE: it cannot go on without/,
  'polling thread ended': /IFACE ends: the poller: /,
  'peer removed': /IFACE is gone: deleted or moved to another namespace/,
};

const lineOf = (pattern: RegExp, iface: string): RegExp =>
  new RegExp(`VNET: ${pattern.source.replaceAll('IFACE', iface)}`);

t.test('put back while it loops on; what is killed then is adopted', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const iface = `v${netns.slice(2)}`;
  const nic = attachedIn(t, netns, ADDRESSES, iface, { VNET_BPF_TEST_FAULTS: '1' });
  const attachment = attachmentOf(nic);
  const files = (): string[] =>
    [stateDirectory(attachment.id), pinDirectory(attachment.id)].flatMap((directory) =>
      fs
        .readdirSync(directory)
        .filter((name) => name !== 'log')
        .sort(),
    );
  const whole = files();
  const random = Random.announced(t);
  for (const [name, pattern] of Object.entries(PUT_BACK)) {
    const fault = FAULTS.find((each) => each.name === name);
    if (!fault) throw new Error(`no fault is called ${name}`);
    await fault.act({ attachment, netns, random, dyingHook: '' });
    t.ok(
      await eventually(
        () =>
          kernelLog()
            .slice(-200)
            .some((line) => lineOf(pattern, iface).test(line)),
        5000,
      ),
      `${name}: said in the log`,
    );
    t.ok(await eventually(() => files().join() === whole.join(), 5000), `${name}: all files are there again`);
    t.match(okIn(netns, 'ping', ['-c', '1', '-W', '5', '10.77.0.1']), / 1 received/, `${name}: it loops`);
  }
  t.equal(attachmentOf(nic).pid, attachment.pid, 'the same controller');
  t.equal(cli(['stats', iface, '--netns', netns, '--check']).status, 0, 'the accounting balances');
  process.kill(attachment.pid, 'SIGKILL');
  t.ok(await eventually(() => !lives(attachment.pid)), 'its controller is dead');
  t.match(
    cli(['attach', iface, '--netns', netns, '--daemon', ...ADDRESSES]),
    { status: 0, stderr: '' },
    'another takes over',
  );
  t.equal(attachmentOf(nic).id, attachment.id, 'with what was put back');
  t.match(okIn(netns, 'ping', ['-c', '1', '-W', '5', '10.77.0.1']), / 1 received/, 'and it loops');
  t.equal(cli(['detach', iface, '--netns', netns]).status, 0);
  await sameAs(t, before, 'nothing is left', netns);
});

for (const [name, pattern] of Object.entries(ENDS)) {
  t.test(`it ends: ${name}`, { skip: cannotRun }, async (t) => {
    const netns = testNetns(t);
    const before = snapshot(netns);
    const iface = `v${netns.slice(2)}`;
    const attachment = attachmentOf(attachedIn(t, netns, ADDRESSES, iface, { VNET_BPF_TEST_FAULTS: '1' }));
    FAULTS.find((each) => each.name === name)?.act({ attachment, netns, random: new Random(1), dyingHook: '' });
    t.ok(await eventually(() => !lives(attachment.pid), 8000), 'the controller ends by itself');
    const lines = kernelLog().filter((line) => line.includes(iface));
    t.ok(
      lines.some((line) => lineOf(pattern, iface).test(line)),
      `the log says why: ${lines.slice(-3).join(' | ')}`,
    );
    await sameAs(t, before, 'nothing is left', netns);
  });
}

t.test('taken away after a crash: what is not whole is made anew', { skip: cannotRun }, async (t) => {
  for (const name of ['waiting room removed', 'peer removed']) {
    const netns = testNetns(t);
    const before = snapshot(netns);
    const nic = attachedIn(t, netns, ADDRESSES);
    const attachment = attachmentOf(nic);
    process.kill(attachment.pid, 'SIGKILL');
    await eventually(() => !lives(attachment.pid));
    FAULTS.find((each) => each.name === name)?.act({ attachment, netns, random: new Random(1), dyingHook: '' });
    t.match(
      cli(['attach', 'vnet0', '--netns', netns, '--daemon', ...ADDRESSES]),
      { status: 0, stderr: '' },
      `${name}: attach works`,
    );
    t.not(attachmentOf(nic).id, attachment.id, `${name}: it is another one`);
    t.match(okIn(netns, 'ping', ['-c', '1', '-W', '5', '10.77.0.1']), / 1 received/, `${name}: it loops`);
    t.equal(cli(['detach', 'vnet0', '--netns', netns]).status, 0);
    await sameAs(t, before, `${name}: nothing is left`, netns);
  }
});

t.test('a program detached after a crash: attach says so, and changes nothing', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const attachment = attachmentOf(attachedIn(t, netns, ADDRESSES));
  process.kill(attachment.pid, 'SIGKILL');
  await eventually(() => !lives(attachment.pid));
  FAULTS.find((each) => each.name === 'program tx detached')?.act({
    attachment,
    netns,
    random: new Random(1),
    dyingHook: '',
  });
  const { status, stderr } = cli(['attach', 'vnet0', '--netns', netns, '--daemon', ...ADDRESSES]);
  t.equal(status, 1);
  t.match(
    stderr,
    /^vnet-bpf: [^\n]*what a crashed controller left[^\n]*\nhint: [^\n]*--replace\n$/,
    'in one line, with a hint',
  );
  t.equal(cli(['attach', 'vnet0', '--netns', netns, '--daemon', '--replace', ...ADDRESSES]).status, 0, 'which helps');
});

t.test('it ends: the peer is moved to another namespace', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const iface = `v${netns.slice(2)}`;
  const { id, pid } = attachmentOf(attachedIn(t, netns, ADDRESSES, iface));
  const far = testNetns(t);
  ok('nsenter', ['--net=/run/vnet-bpf/netns', 'ip', 'link', 'set', `vp${id}`, 'netns', `/run/netns/${far}`]);
  t.ok(await eventually(() => !lives(pid), 8000), 'the controller ends by itself');
  t.ok(
    kernelLog().some((line) => line.includes(`somebody moved the peer of ${iface} to another namespace`)),
    'the log says why',
  );
  t.notMatch(ok('ip', ['-n', far, 'link']), `vp${id}`, 'the peer has gone with it');
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('something else in the place of the control socket', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.equal(machine.cli(['attach', 'vnet0', '--daemon', ...ADDRESSES]).status, 0);
  machine.shell('for file in /run/vnet-bpf/*/control; do rm "$file"; touch "$file"; done');
  t.ok(await eventually(() => machine.cli(['carrier', 'vnet0', 'up']).status === 0, 10_000), 'orders arrive again');
  t.match(machine.cli(['log', 'vnet0']).stdout, /somebody removed the control socket of vnet0: put back/);
  t.equal(machine.cli(['detach', 'vnet0']).status, 0);
  t.same(machine.residue(), []);
});

const RENAME = `
for link in $(ip -o link | sed -n 's/^[0-9]*: \\(v[prxy][^@:]*\\).*/\\1/p'); do
  ip link set "$link" down; ip link set "$link" name "other$((count += 1))"
done
echo "$count"
`;

t.test('what is behind it is renamed: detach finds it', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  for (const how of ['running', 'crashed']) {
    t.equal(machine.cli(['attach', 'vnet0', '--daemon', ...ADDRESSES]).status, 0);
    if (how === 'crashed')
      machine.shell('kill -KILL $(sed -n \'s/.*"pid": \\([0-9]*\\).*/\\1/p\' /run/vnet-bpf/*/state.json)');
    const { stdout } = machine.run('nsenter', ['--net=/run/vnet-bpf/netns', 'sh', '-c', RENAME]);
    t.equal(stdout, '4\n', 'the peer, and the three links of the waiting room');
    t.match(machine.cli(['detach', 'vnet0']), { status: 0, stderr: '' }, how);
    t.same(machine.residue(), [], `${how}: nothing is left`);
  }
});
