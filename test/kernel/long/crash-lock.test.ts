// SPDX-License-Identifier: MIT
/** One controller per interface; and a state directory that is not root's alone is not trusted. */
import t from 'tap';

import { cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

const ATTACH = ['attach', 'vnet0', '--daemon'];

const pidOf = (machine: PrivateMachine): number =>
  (JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }])[0].pid;

t.test('a second attach says who has the interface; a kill lets go of it', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.equal(machine.cli(ATTACH).status, 0, 'attach');
  const pid = pidOf(machine);
  for (const second of [ATTACH, ['attach', 'vnet0']]) {
    const { status, stderr, stdout } = machine.cli(second);
    t.equal(status, 1, `${second.join(' ')}: exit status 1`);
    t.match(
      stderr,
      new RegExp(`^vnet-bpf: interface vnet0: is attached already, by process ${pid}\nhint: `),
      'it says who',
    );
    t.equal(stdout, '', 'and nothing else');
  }
  t.equal(pidOf(machine), pid, 'the first one goes on');
  machine.shell(`kill -KILL ${pid}`);
  t.equal(machine.cli(ATTACH).status, 0, 'after a SIGKILL the next one gets the lock');
  t.not(pidOf(machine), pid, 'in another process');
  machine.cli(['detach', 'vnet0']);
  t.same(machine.residue(), [], 'nothing is left');
});

t.test('two at the same moment: one gets it', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const script = `"$@" >/run/1 2>&1 & one=$!; "$@" >/run/2 2>&1 & two=$!; wait $one; echo $?; wait $two; echo $?; cat /run/1 /run/2; rm /run/1 /run/2`;
  const { stdout } = machine.run('sh', ['-c', script, 'sh', process.execPath, MAIN, ...ATTACH]);
  const [one, two] = stdout.split('\n');
  t.same([one, two].sort(), ['0', '1'], 'one works, one fails');
  t.match(stdout, /is attached already, by process \d+/, 'and says why');
  t.equal((JSON.parse(machine.cli(['list', '--json']).stdout) as unknown[]).length, 1, 'there is one');
  machine.cli(['detach', 'vnet0']);
  t.same(machine.residue(), [], 'nothing is left');
});

/** Each is made before the attach; `where` is the path that the error must name. */
const intruders = [
  {
    name: 'state of another owner',
    make: 'mkdir -m 0700 /run/vnet-bpf; chown 1000 /run/vnet-bpf',
    where: '/run/vnet-bpf',
  },
  { name: 'state that others may enter', make: 'mkdir -m 0755 /run/vnet-bpf', where: '/run/vnet-bpf' },
  {
    name: 'a symbolic link instead of state',
    make: 'mkdir -m 0700 /run/other; ln -s /run/other /run/vnet-bpf',
    where: '/run/vnet-bpf',
  },
  { name: 'a file instead of state', make: 'touch /run/vnet-bpf', where: '/run/vnet-bpf' },
  {
    name: 'pins that others may enter',
    make: 'mkdir -p /sys/fs/bpf/vnet-bpf/theirs; chmod 0755 /sys/fs/bpf/vnet-bpf',
    where: '/sys/fs/bpf/vnet-bpf',
  },
];

t.test("what is not root's alone is refused", { skip: cannotRun }, async (t) => {
  for (const { name, make, where } of intruders) {
    const machine = await PrivateMachine.start(t);
    machine.shell(make);
    const before = machine.residue();
    const { status, stderr, stdout } = machine.cli(ATTACH);
    t.equal(status, 1, `${name}: exit status 1`);
    t.match(stderr, /^vnet-bpf: [^\n]+\n(hint: [^\n]+\n)?$/, `${name}: one line, and perhaps a hint`);
    t.ok(stderr.includes(where), `${name}: it names ${where}`);
    t.equal(stdout, '', `${name}: and nothing else`);
    t.same(machine.residue(), before, `${name}: nothing changed`);
  }
});
