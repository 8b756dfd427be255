// SPDX-License-Identifier: MIT
/**
 * Namespaces that go or lose their names. The kernel reuses PIDs and the inodes of namespaces: a new process or
 * namespace is not mistaken for the one in a record.
 */
import t, { type Test } from 'tap';

import { cannotRun, MAIN, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { LOOP_RULES } from '../helpers/looped-rules';
import { PrivateMachine } from '../helpers/private-machine';

t.setTimeout(120_000 * SLOW);

interface Entry {
  interface: string;
  netns: string | null;
  netnsGone: boolean;
  state: string;
  pid: number;
}

const list = (machine: PrivateMachine): Entry[] => JSON.parse(machine.cli(['list', '--json']).stdout) as Entry[];
const brief = (machine: PrivateMachine): string[] =>
  list(machine).map(
    ({ interface: iface, netns, netnsGone, state }) => `${iface} ${netns}${netnsGone ? ' gone' : ''} ${state}`,
  );

function attach(t: Test, machine: PrivateMachine, netns: string, iface = 'vnet0'): void {
  const { status, stderr } = machine.cli(['attach', iface, '--netns', netns, '--addr', '10.77.0.1/24', '--daemon']);
  t.equal(status, 0, `attach ${iface} in ${netns}: ${stderr}`);
}

const kill = (machine: PrivateMachine, pid: number): string =>
  machine.shell(
    `kill -KILL ${pid}; while [ -e /proc/${pid} ] && ! grep -q '^State:.Z' /proc/${pid}/status; do sleep 0.05; done`,
  );

/** Starts a process called `name` in a namespace; returns its PID. It ends with the machine. */
const startIn = (machine: PrivateMachine, netns: string, name: string): string =>
  machine.shell(`ip netns exec ${netns} bash -c 'echo $$; exec -a ${name} sleep 1000 >/dev/null 2>&1' &`).trim();

/**
 * Removes the namespace `old` and creates one called `name`. Whether the kernel reuses the inode depends on what else
 * the machine does, so the inode in the records is changed to the new one: the product cannot tell the difference.
 */
function remake(machine: PrivateMachine, old: string, name: string): void {
  machine.shell(`
    inode=$(stat -Lc %i /run/netns/${old})
    ip netns del ${old}; ip netns add ${name}
    sed -i "s/\"inode\": $inode/\"inode\": $(stat -Lc %i /run/netns/${name})/" /run/vnet-bpf/*/state.json`);
}

for (const name of ['new', 'old']) {
  t.test(
    `a new namespace called ${name} gets the inode of the deleted one called old`,
    { skip: cannotRun },
    async (t) => {
      const machine = await PrivateMachine.start(t);
      machine.shell('ip netns add old');
      attach(t, machine, 'old');
      kill(machine, (list(machine)[0] as Entry).pid);
      remake(machine, 'old', name);
      t.same(brief(machine), ['vnet0 old gone crashed'], 'list says that the namespace is gone');
      t.match(machine.cli(['list']).stdout, /^vnet0 +old \(gone\) +crashed /m, 'so does the text output');
      attach(t, machine, name);
      t.same(
        brief(machine).sort(),
        ['vnet0 old gone crashed', `vnet0 ${name} running`].sort(),
        'the new one is a separate attachment',
      );
      const rules = machine.shell(
        `ip -n ${name} rule; ip -n ${name} -6 rule; ip -n ${name} route show table all; ip -n ${name} -o link`,
      );
      const metrics = machine
        .cli(['stats', '--prometheus'])
        .stdout.split('\n')
        .filter((line) => line.startsWith('vnet_tx_packets_total'));
      t.equal(
        new Set(metrics.map((line) => line.replace(/ \d+$/, ''))).size,
        metrics.length,
        'no two metrics have the same labels',
      );
      if (name === 'new') {
        t.equal(
          machine.cli(['detach', '--all', '--netns', 'old']).status,
          0,
          'detach by the old name finds what is left',
        );
        t.same(brief(machine), ['vnet0 new running'], 'and removes nothing else');
        t.equal(
          machine.shell(
            `ip -n ${name} rule; ip -n ${name} -6 rule; ip -n ${name} route show table all; ip -n ${name} -o link`,
          ),
          rules,
          'links, rules and routes of the running one are unchanged',
        );
        t.equal(
          machine.shell('ip netns exec new ping -c 1 -q 10.77.0.1 | grep -o "1 received"').trim(),
          '1 received',
          'it loops',
        );
        t.equal(machine.cli(['detach', 'vnet0', '--netns', 'new']).status, 0);
      } else {
        t.equal(
          machine.cli(['detach', 'vnet0', '--netns', 'old']).status,
          0,
          'the name refers to the namespace that has it now',
        );
        t.same(brief(machine), ['vnet0 old gone crashed']);
        t.equal(machine.cli(['detach', 'vnet0', '--netns', 'old']).status, 0, 'and then to the one that had it before');
      }
      t.equal(machine.cli(['detach', 'vnet0', '--netns', name]).status, 1, 'nothing is left to detach');
      machine.shell(`ip netns del ${name}; umount -l /run/netns; rmdir /run/netns`);
      t.same(machine.residue(), [], 'nothing is left');
    },
  );
}

t.test('the PID of a dead controller now belongs to a process in another namespace', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('ip netns add lab; ip netns add other');
  attach(t, machine, 'lab');
  const { pid } = list(machine)[0] as Entry;
  kill(machine, pid);
  // The record is changed to name this process, whose command line is that of a controller.
  const impostor = startIn(machine, 'other', 'attach');
  machine.shell(`sed -i 's/"pid": ${pid}/"pid": ${impostor}/' /run/vnet-bpf/*/state.json; ip netns del lab`);
  t.same(brief(machine), ['vnet0 lab gone crashed']);
  t.equal(machine.cli(['detach', 'vnet0', '--netns', 'lab']).status, 0);
  t.equal(machine.shell(`tr '\\0' ' ' </proc/${impostor}/cmdline`).trim(), 'attach 1000', 'that process is left alone');
});

t.test('a record of an earlier boot refers to no namespace of this boot', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('ip netns add lab');
  attach(t, machine, 'lab');
  kill(machine, (list(machine)[0] as Entry).pid);
  machine.shell(
    `sed -i 's/"boot": "[^"]*"/"boot": "00000000-0000-0000-0000-000000000000"/' /run/vnet-bpf/*/state.json`,
  );
  t.same(brief(machine), ['vnet0 lab gone crashed']);
  const rules = machine.shell('ip -n lab rule');
  t.equal(machine.cli(['detach', 'vnet0', '--netns', 'lab']).status, 0);
  // The interface is gone together with its peer, whose name contains the identity.
  t.equal(
    machine.shell('ip -n lab rule').replace(' [detached]', ''),
    rules,
    'the rules stay, because nothing shows that they belong to it',
  );
  t.same(brief(machine), []);
});

t.test('a namespace that is out of sight for a while is not gone', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('ip netns add lab');
  attach(t, machine, 'lab');
  const before = list(machine);
  machine.shell('mount -t tmpfs none /run/netns; sleep 2.2; umount /run/netns');
  t.same(list(machine), before, 'the same controller loops it');
  machine.shell('ip netns del lab');
  t.ok(await eventually(() => list(machine).length === 0), 'it ends with the namespace');
});

/** What may hold a namespace without a name; each is a file of it. */
const HOLDERS: Readonly<Record<string, (machine: PrivateMachine) => string>> = {
  'a process in it': (machine) => `/proc/${startIn(machine, 'lab', 'holder')}/ns/net`,
  'a descriptor, as between two processes of a container': (machine) =>
    `/proc/${machine.shell('exec 9</run/netns/lab; sleep 60 >/dev/null 2>&1 & echo $!').trim()}/fd/9`,
};

for (const [name, hold] of Object.entries(HOLDERS)) {
  t.test(`a namespace that outlives its name is found through ${name}`, { skip: cannotRun }, async (t) => {
    const machine = await PrivateMachine.start(t);
    machine.shell('ip netns add lab');
    attach(t, machine, 'lab');
    const file = hold(machine);
    machine.shell('ip netns del lab; sleep 1.2'); // longer than between two looks of the controller
    t.same(brief(machine), ['vnet0 lab running'], 'it keeps running under its old name');
    kill(machine, (list(machine)[0] as Entry).pid);
    t.same(brief(machine), ['vnet0 lab crashed']);
    t.equal(machine.cli(['detach', 'vnet0', '--netns', 'lab']).status, 0, 'detach by that name');
    const left = machine.shell(`nsenter --net=${file} sh -c 'ip -o link; ip rule'`);
    t.notMatch(left, 'vnet0', 'removes the interface');
    t.notMatch(left, LOOP_RULES, 'and the rules');
  });
}

t.test(
  'a new namespace takes the name of one that still exists: commands use the new one',
  { skip: cannotRun },
  async (t) => {
    const machine = await PrivateMachine.start(t);
    machine.shell('ip netns add lab');
    attach(t, machine, 'lab');
    const holder = startIn(machine, 'lab', 'holder');
    machine.shell('ip netns del lab; ip netns add lab');
    t.same(brief(machine), ['vnet0 null running'], 'list gives it no name');
    t.equal(machine.cli(['detach', 'vnet0', '--netns', 'lab']).status, 1, 'detach by that name does not find it');
    t.equal(machine.cli(['detach', '--all', '--netns', 'lab']).status, 0);
    t.same(brief(machine), ['vnet0 null running'], 'nor does --all');
    t.equal(
      machine.run('nsenter', [`--net=/proc/${holder}/ns/net`, process.execPath, MAIN, 'detach', 'vnet0']).status,
      0,
      'a detach from inside the namespace does',
    );
    t.same(brief(machine), []);
  },
);

t.test('a daemon that was started inside the namespace does not keep it', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const attachInside = (...args: string[]): void => {
    machine.shell('ip netns add a');
    const { status, stderr } = machine.run('ip', [
      ...['netns', 'exec', 'a', process.execPath, MAIN, 'attach', 'vnet0', '--addr', '10.77.0.1/24', '--daemon'],
      ...args,
    ]);
    t.equal(status, 0, `attach ${args.join(' ')} ${stderr}`);
    t.same(brief(machine), ['vnet0 a running'], 'it is in that namespace');
    t.match(machine.shell('ip netns exec a ping -q -c 1 10.77.0.1'), / 1 received/, 'and loops');
  };
  attachInside();
  machine.shell('ip netns del a');
  t.ok(await eventually(() => brief(machine).length === 0), 'it ends with the namespace');
  attachInside('--metrics', '127.0.0.1:9464');
  t.match(machine.shell('ip netns exec a ss -Hltn'), /127.0.0.1:9464/, 'metrics are served where the caller was');
  t.equal(machine.cli(['detach', 'vnet0', '--netns', 'a']).status, 0);
  machine.shell('ip netns del a; umount -l /run/netns; rmdir /run/netns');
  t.same(machine.residue(), [], 'nothing is left');
});
