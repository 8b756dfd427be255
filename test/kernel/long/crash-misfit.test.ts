// SPDX-License-Identifier: MIT
/** An attachment that does not match is not adopted: one line says why, and what the crash left stays as it was. */
import t from 'tap';

import { cannotRun, SLOW } from '../../helpers/cli';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

interface Misfit {
  name: string;
  /** Changes what the crash left, before the attach. */
  first?: string;
  args?: string[];
  says: RegExp;
  /** Puts it back. */
  undo?: string;
}

const STATE = '/run/vnet-bpf/????????/state.json';
const PINS = '/sys/fs/bpf/vnet-bpf/????????';

const misfits: Misfit[] = [
  { name: 'another ring size', args: ['--ring-size', '1M'], says: /left it with --ring-size 524288\nhint: / },
  { name: 'another queue length', args: ['--queue-packets', '5'], says: /left it with --queue-packets 100\nhint: / },
  { name: 'drop instead of hold', args: ['--when-full', 'drop'], says: /left it with --when-full hold\nhint: / },
  {
    name: 'a state of another version',
    first: `sed -i.kept 's/"version": [0-9]*/"version": 9999/' ${STATE}`,
    says: /a crashed controller of another version left it\nhint: /,
    undo: 'cd /run/vnet-bpf/????????; mv state.json.kept state.json',
  },
  {
    name: 'a damaged state',
    first: `sed -i.kept 's/}/!/' ${STATE}`,
    says: /is damaged: it is not JSON\nhint: /,
    undo: 'cd /run/vnet-bpf/????????; mv state.json.kept state.json',
  },
  {
    name: 'pins that others may enter',
    first: `chmod 0755 ${PINS}`,
    says: /mode 0700\)\nhint: /,
    undo: `chmod 0700 ${PINS}`,
  },
  {
    name: 'a map that is not there',
    first: `mv ${PINS}/batch /sys/fs/bpf/kept`,
    says: /does not fit: .*\nhint: /,
    undo: `mv /sys/fs/bpf/kept "$(echo ${PINS})/batch"`,
  },
  {
    name: 'a map of another kind',
    first: `cd ${PINS}; mv batch kept; mv counters batch; mv kept counters`,
    says: /does not fit: .*\nhint: /,
    undo: `cd ${PINS}; mv batch kept; mv counters batch; mv kept counters`,
  },
];

t.test('a misfit is refused and changes nothing', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || true'); // duplicate address detection takes its time
  const options = ['--addr', '10.77.0.1/24', '--ring-size', '512K', '--queue-packets', '100'];
  const attach = (args: readonly string[]): ReturnType<PrivateMachine['cli']> =>
    machine.cli(['attach', 'vnet0', '--daemon', ...args]);
  t.equal(attach(options).status, 0, 'attach');
  const [{ pid }] = JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }];
  machine.shell(`kill -KILL ${pid}`);
  const picture = (): string =>
    machine.shell(
      `cat ${STATE}; ls -lR ${PINS}; ip -o link; ip rule; ip -6 rule; ip route show table all; ls -l /run/vnet-bpf | grep -v ^total`,
    );
  for (const { name, first = 'true', args = [], says, undo = 'true' } of misfits) {
    machine.shell(first);
    const before = picture();
    const { status, stderr, stdout } = attach(args);
    t.equal(status, 1, `${name}: exit status 1`);
    t.match(stderr, says, `${name}: says so`);
    t.equal(stderr.trim().split('\n').length, 2, `${name}: in one line and a hint`);
    t.equal(stdout, '', `${name}: and nothing else`);
    t.equal(picture(), before, `${name}: nothing changed`);
    machine.shell(undo);
  }
  t.equal(attach(options).status, 0, 'with what fits it is adopted in the end');
  t.equal(machine.run('ping', ['-c', '1', '10.77.0.1']).status, 0, 'and loops');
  t.equal(machine.cli(['detach', 'vnet0']).status, 0, 'detach');
  t.same(machine.residue(), [], 'nothing is left');
});

t.test('--replace makes a new one of what does not fit', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const attach = (args: readonly string[]): ReturnType<PrivateMachine['cli']> =>
    machine.cli(['attach', 'vnet0', '--daemon', '--addr', '10.77.0.1/24', ...args]);
  attach(['--ring-size', '512K']);
  machine.shell(`kill -KILL ${(JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }])[0].pid}`);
  machine.shell(`sed -i 's/"version": [0-9]*/"version": 9999/' ${STATE}`);
  t.equal(attach(['--ring-size', '1M', '--replace']).status, 0, 'attach --replace');
  t.match(
    JSON.parse(machine.cli(['list', '--json']).stdout),
    [{ state: 'running', ringBytes: 1 << 20 }],
    'with the new ring',
  );
  t.equal(machine.run('ping', ['-c', '1', '10.77.0.1']).status, 0, 'it loops');
  t.equal(machine.cli(['detach', 'vnet0']).status, 0, 'detach');
  t.same(machine.residue(), [], 'nothing is left of either');
});

t.test('an interface that was renamed after the crash', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const attach = (iface: string, ...args: string[]): ReturnType<PrivateMachine['cli']> =>
    machine.cli(['attach', iface, '--daemon', ...args]);
  const listed = (): { interface: string; state: string; ifindex: number; pid: number }[] =>
    JSON.parse(machine.cli(['list', '--json']).stdout) as ReturnType<typeof listed>;
  const received = (): number =>
    (JSON.parse(machine.cli(['stats', 'old0', '--json']).stdout) as { rx: { packets: number } }).rx.packets;
  attach('vnet0', '--addr', '10.77.0.1/24');
  machine.run('ping', ['-c', '1', '10.77.0.1']);
  const [{ ifindex } = { ifindex: 0 }] = listed();
  const crash = (): string => machine.shell(`kill -KILL ${listed()[0]?.pid ?? 0}; sleep 0.2`);

  crash();
  machine.shell('ip link set vnet0 name old0; ip link add vnet0 type ifb');
  const picture = (): string => machine.shell(`cat ${STATE}; ip -o addr; ip -o link; ip rule; ls ${PINS}`);
  const before = picture();
  for (const args of [[], ['--replace'], ['--type', 'dummy']]) {
    const { status, stderr } = attach('vnet0', ...args);
    t.equal(status, 1, `another has its name: refused, ${args.join(' ')}`);
    t.match(stderr, /is called old0\nhint: vnet-bpf attach old0 adopts that/, 'it is said what it is called');
    t.equal(picture(), before, 'and nothing changed');
  }
  for (const name of ['old0', 'vnet0']) {
    if (name === 'vnet0') machine.shell('ip link del vnet0');
    const count = received();
    t.equal(attach(name).status, 0, `attach ${name}`);
    t.match(listed(), [{ interface: 'old0', state: 'running', ifindex }], 'adopts it');
    t.equal(machine.run('ping', ['-c', '1', '10.77.0.1']).status, 0, 'it loops');
    t.ok(received() >= count + 2, 'and its counters go on');
    crash();
    machine.shell(`sed -i 's/"iface": "old0"/"iface": "vnet0"/' ${STATE}`);
  }
  t.equal(machine.cli(['detach', 'old0']).status, 0, 'detach knows the new name, too');
  t.same(machine.residue(), [], 'nothing is left');
});

t.test('one that was deleted after the crash, when another interface has its name', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.cli(['attach', 'vnet0', '--daemon', '--addr', '10.77.0.1/24']);
  machine.shell(`kill -KILL ${(JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }])[0].pid}`);
  machine.shell('sleep 0.2; ip link del vnet0; ip link add vnet0 type ifb');
  const picture = (): string => machine.shell(`cat ${STATE}; ip -o link; ip rule; ls ${PINS}`);
  const before = picture();
  for (const args of [[], ['--replace']]) {
    t.match(machine.cli(['attach', 'vnet0', '--daemon', ...args]), { status: 1, stderr: /did not make/ }, 'refused');
    t.equal(picture(), before, 'and what the crash left is still there');
  }
  t.equal(machine.cli(['detach', 'vnet0']).status, 0, 'detach removes that');
  machine.shell('ip link del vnet0');
  t.same(machine.residue(), [], 'nothing is left');
});
