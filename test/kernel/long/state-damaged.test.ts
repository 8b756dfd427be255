// SPDX-License-Identifier: MIT
/**
 * A state file that is damaged or replaced makes its attachment a broken one: it is listed, it can be detached, and no
 * other attachment is affected.
 */
import t, { type Test } from 'tap';

import { cannotRun, SLOW } from '../../helpers/cli';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

/** Shell commands, run in the directory of the attachment. */
const DAMAGES: Record<string, string> = {
  'an empty file': ': >state.json',
  'half a file': 'head -c 300 state.json >half; mv half state.json',
  'random bytes': 'head -c 3000 /dev/urandom >state.json',
  'a field of another type': `sed -i 's/"ifindex": [0-9]*/"ifindex": "2"/' state.json`,
  'another record': `sed -i 's/"id": ".*"/"id": "ffffffff"/' state.json`,
  'a list': 'echo "[1, 2]" >state.json',
  'a foreign version': 'echo \'{"version": 99, "interface": "vnet0"}\' >state.json',
  'a directory': 'rm state.json; mkdir state.json; touch state.json/x',
  'a symbolic link': 'rm state.json; ln -s /etc/passwd state.json',
  'a link to nowhere': 'rm state.json; ln -s /nowhere state.json',
  'a FIFO': 'rm state.json; mkfifo state.json',
  'an endless device': 'rm state.json; mknod state.json c 1 5',
  'a huge file': 'truncate -s 3G state.json',
  'a directory that others may enter': 'chmod 0777 .',
};

interface Entry {
  interface: string;
  netns: string | null;
  state: string;
  pid?: number;
  id?: string;
  error?: string;
}

const list = (machine: PrivateMachine): Entry[] => JSON.parse(machine.cli(['list', '--json']).stdout) as Entry[];
const OTHER = ['vnet1', '--netns', 'lab'];

async function withTwo(t: Test): Promise<PrivateMachine> {
  const machine = await PrivateMachine.start(t);
  machine.shell('ip netns add lab; ip netns exec lab sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || true');
  t.equal(machine.cli(['attach', ...OTHER, '--addr', '10.78.0.1/24', '--daemon']).status, 0);
  return machine;
}

/** Attaches vnet0, kills its controller unless `alive`, and damages its state. */
function damaged(t: Test, machine: PrivateMachine, damage: string, alive: boolean): void {
  t.equal(machine.cli(['attach', 'vnet0', '--netns', 'lab', '--addr', '10.77.0.1/24', '--daemon']).status, 0, 'attach');
  const pid = list(machine).find((entry) => entry.interface === 'vnet0')?.pid;
  if (!alive) machine.shell(`kill -KILL ${pid}; sleep 0.2`);
  machine.shell(`cd "$(dirname "$(grep -l '"iface": "vnet0"' /run/vnet-bpf/*/state.json)")"; ${damage}`);
}

/** Everything in which vnet0 could leave something. */
const ofTheOther = (machine: PrivateMachine): string =>
  machine.shell(
    "ip -n lab -o link | grep -o 'vnet[0-9]'; ip -n lab rule; ip -n lab route show table all; ls /run/vnet-bpf /sys/fs/bpf/vnet-bpf | sort",
  );

t.test('each kind of damage, with a dead controller', { skip: cannotRun }, async (t) => {
  const machine = await withTwo(t);
  const before = ofTheOther(machine);
  for (const [name, damage] of Object.entries(DAMAGES)) {
    damaged(t, machine, damage, false);
    const entries = list(machine);
    t.match(
      entries,
      [
        { interface: 'vnet1', state: 'running' },
        { interface: 'vnet0', netns: 'lab', state: 'broken', error: / / },
      ],
      `${name}: list names the broken one`,
    );
    t.match(machine.cli(['list']).stdout, /^vnet0 +lab +broken/m, `${name}: so does the text output`);
    const stats = machine.cli(['stats', '--json']);
    t.equal(stats.status, 1, `${name}: stats of all fails`);
    t.match(JSON.parse(stats.stdout), [{ interface: 'vnet1', state: 'running' }], `${name}: but shows the others`);
    t.match(
      stats.stderr,
      /^vnet-bpf: interface vnet0: .*\nhint: vnet-bpf detach vnet0 --netns lab removes it\n$/,
      `${name}: and says why`,
    );
    t.equal(machine.cli(['stats', ...OTHER]).status, 0, `${name}: stats of the other works`);
    t.match(
      machine.cli(['attach', 'vnet0', '--netns', 'lab', '--daemon']),
      { status: 1, stderr: /^vnet-bpf: interface vnet0: .*\nhint: .*\n$/ },
      `${name}: attach refuses it with a message of one line`,
    );
    t.match(
      machine.cli(['detach', 'vnet0', '--netns', 'lab']),
      { status: 0, stdout: 'vnet0 detached\n' },
      `${name}: detach`,
    );
    t.equal(ofTheOther(machine), before, `${name}: nothing of it is left, and the other is intact`);
  }
  t.equal(
    machine.shell('ip netns exec lab ping -c 1 -q 10.78.0.1 | grep -o "1 received"').trim(),
    '1 received',
    'the other loops',
  );
});

t.test(
  'damage under a live controller; detach by identity, by --replace and by --all',
  { skip: cannotRun },
  async (t) => {
    const machine = await withTwo(t);
    const before = ofTheOther(machine);
    const empty = DAMAGES['an empty file'] as string;

    damaged(t, machine, empty, true);
    t.match(machine.cli(['log', 'vnet0', '--netns', 'lab']).stdout, /loaded: vnet0/, 'its log is shown');
    t.equal(machine.cli(['detach', 'vnet0', '--netns', 'lab']).status, 0, 'a live controller is asked to detach');
    t.equal(ofTheOther(machine), before, 'nothing of it is left');

    damaged(t, machine, empty, false);
    machine.shell('ip -n lab link del vnet0');
    const id = list(machine).find((entry) => entry.state === 'broken')?.id as string;
    t.match(list(machine).at(-1), { interface: id, netns: null }, 'without its interface, nothing shows its name');
    t.equal(machine.cli(['attach', 'vnet2', '--netns', 'lab', '--daemon']).status, 0, 'another can be attached');
    t.equal(machine.cli(['detach', 'vnet2', '--netns', 'lab']).status, 0);
    t.equal(machine.cli(['detach', id]).status, 0, 'detach takes its identity');
    t.match(list(machine), [{ interface: 'vnet1' }]);
    machine.shell(
      'ip -n lab rule flush; for p in 32766:main 32767:default; do ip -n lab rule add priority ${p%:*} table ${p#*:}; done; ip -n lab rule add priority 0 table local 2>/dev/null || true',
    );

    damaged(t, machine, DAMAGES['a field of another type'] as string, false);
    t.equal(machine.cli(['attach', 'vnet0', '--netns', 'lab', '--daemon', '--replace']).status, 0, 'attach --replace');
    t.match(list(machine), [
      { interface: 'vnet0', state: 'running' },
      { interface: 'vnet1', state: 'running' },
    ]);
    machine.shell('cd "$(dirname "$(grep -l \'"iface": "vnet0"\' /run/vnet-bpf/*/state.json)")"; : >state.json');
    t.equal(machine.cli(['detach', '--all']).status, 0, 'detach --all');
    t.equal(
      machine.shell('ls -A /run | grep -v mount; ls -A /sys/fs/bpf | grep -v debug$ || true').trim(),
      'netns',
      'nothing is left of any',
    );
  },
);
