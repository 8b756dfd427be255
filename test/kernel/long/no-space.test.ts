// SPDX-License-Identifier: MIT
/**
 * /run is full, read-only or out of inodes, or a process has no descriptors: commands that remove or show something
 * need none, and commands that create something fail with one line.
 */
import t, { type Test } from 'tap';

import { cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

interface Scarcity {
  begins: string;
  ends: string;
}

const SCARCITIES: Record<string, Scarcity> = {
  'a full /run': { begins: 'dd if=/dev/zero of=/run/fill bs=4k 2>/dev/null || true', ends: 'rm /run/fill' },
  'no inodes in /run': {
    begins: "mount -o remount,nr_inodes=$(df -i /run | awk 'END { print $3 }') /run",
    ends: 'mount -o remount,nr_inodes=10000 /run',
  },
  'a read-only /run': { begins: 'mount -o remount,ro /run', ends: 'mount -o remount,rw /run' },
};

const HOOK = '/run/hooks/h.js';
const VNET0 = ['vnet0', '--netns', 'lab'];
const ONE_LINE_AND_HINT = /^vnet-bpf: [^\n]+\nhint: [^\n]+\n$/;

async function machineWithLab(t: Test): Promise<PrivateMachine> {
  const machine = await PrivateMachine.start(t);
  machine.shell(
    `mount -o remount,size=256k /run; ip netns add lab; mkdir -m 700 /run/hooks; echo 'module.exports = () => "pass";' >${HOOK}`,
  );
  return machine;
}

const attach = (machine: PrivateMachine, iface = 'vnet0'): ReturnType<PrivateMachine['cli']> =>
  machine.cli(['attach', iface, '--netns', 'lab', '--addr', '10.77.0.1/24', '--daemon']);
const pidOf = (machine: PrivateMachine): number =>
  (JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }])[0].pid;
const inKernel = (machine: PrivateMachine): string =>
  machine
    .shell(
      'ip -n lab -o link | grep -v " lo:" || true; ip -n lab rule | grep "suppress_ifgroup 22094\\|lookup 1447" || true; ls -A /sys/fs/bpf | grep -v debug$ || true',
    )
    .trim();

for (const [name, { begins, ends }] of Object.entries(SCARCITIES)) {
  for (const crashed of [false, true]) {
    t.test(`${name}: ${crashed ? 'a crashed' : 'a running'} interface`, { skip: cannotRun }, async (t) => {
      const machine = await machineWithLab(t);
      t.equal(attach(machine).status, 0, 'attach');
      if (crashed) machine.shell(`kill -KILL ${pidOf(machine)}; sleep 0.2`);
      machine.shell(begins);
      t.match(machine.cli(['list']).stdout, crashed ? /vnet0 .* crashed/ : /vnet0 .* running/, 'list');
      t.equal(machine.cli(['stats', ...VNET0]).status, 0, 'stats');
      t.match(machine.cli(['log', ...VNET0]).stdout, /loaded/, 'log');
      if (!crashed) {
        t.equal(machine.cli(['hook', 'vnet0', HOOK, '--netns', 'lab']).status, 0, 'a hook is put in place');
        t.equal(machine.cli(['hook', ...VNET0, '--none']).status, 0, 'and taken off');
        t.match(
          machine.cli(['impair', ...VNET0, 'delay', '1ms']),
          { status: 1, stderr: ONE_LINE_AND_HINT },
          'an impairment, which has to be recorded, is refused',
        );
        // Frames sent before the carrier is back count as `down`.
        machine.shell(
          'for up in down up; do ip -n lab link set vnet0 $up; done; for i in $(seq 20); do ip netns exec lab ping -c 1 -W 1 -q 10.77.0.1 >/dev/null && break; done',
        );
        t.equal(
          machine.shell('ip netns exec lab ping -c 2 -i 0.2 -q 10.77.0.1 | grep -o "2 received"').trim(),
          '2 received',
          'it loops on',
        );
      }
      t.match(attach(machine, 'vnet1'), { status: 1, stderr: ONE_LINE_AND_HINT }, 'another attach fails in a line');
      t.equal(machine.shell('ls /run/vnet-bpf | grep -c "^........$"').trim(), '1', 'and leaves nothing');
      const detached = machine.cli(['detach', ...VNET0]);
      t.equal(inKernel(machine), '', 'detach removes all that is in the kernel');
      if (name === 'a read-only /run')
        t.match(detached, { status: 1, stderr: ONE_LINE_AND_HINT }, 'and says that the record cannot be removed');
      else t.match(detached, { status: 0, stderr: '' }, 'and the record');
      machine.shell(ends);
      t.equal(machine.cli(['detach', '--all']).status, 0, 'the rest goes with the next');
      t.equal(machine.shell('ls -A /run | grep -v ^mount$').trim(), 'hooks\nnetns', 'nothing is left');
    });
  }
}

t.test('attach on a machine where /run is full', { skip: cannotRun }, async (t) => {
  const machine = await machineWithLab(t);
  for (const { begins, ends } of Object.values(SCARCITIES)) {
    machine.shell(begins);
    t.match(attach(machine), { status: 1, stdout: '', stderr: ONE_LINE_AND_HINT }, begins);
    t.equal(inKernel(machine), '', 'nothing is made');
    machine.shell(ends);
    t.equal(machine.shell('ls -A /run | grep -v ^mount$').trim(), 'hooks\nnetns', 'nothing is left');
  }
});

t.test('the log says how many lines it lacks, once there is space again', { skip: cannotRun }, async (t) => {
  const machine = await machineWithLab(t);
  t.equal(attach(machine).status, 0);
  // Less than a page is left in the log's last one: it takes lines until that is full.
  machine.shell('truncate -s 4090 /run/vnet-bpf/*/log; dd if=/dev/zero of=/run/fill bs=4k 2>/dev/null || true');
  machine.shell(
    'for i in 1 2 3; do ip -n lab link set vnet0 down; sleep 0.2; ip -n lab link set vnet0 up; sleep 0.2; done; rm /run/fill; ip -n lab link set vnet0 down; sleep 0.5',
  );
  const lines = machine
    .cli(['log', ...VNET0])
    .stdout.trim()
    .split('\n');
  t.match(lines.at(-2), /VNET: 6 lines are missing here, which could not be written \(ENOSPC\)/);
  t.match(lines.at(-1), /VNET: vnet0 set down/);
  t.equal(machine.cli(['detach', ...VNET0]).status, 0);
});

t.test(
  'with few descriptors each command works, or fails in a line and leaves nothing',
  { skip: cannotRun },
  async (t) => {
    const machine = await machineWithLab(t);
    t.equal(attach(machine).status, 0);
    const limited = (limit: number, args: string): { status: number; stderr: string } =>
      machine.run('sh', ['-c', `ulimit -n ${limit}; exec "$NODE" "$MAIN" ${args}`], {
        NODE: process.execPath,
        MAIN: MAIN,
      });
    let failed = 0;
    let done = 0;
    const least = machine.leastDescriptors(t.testdir({}));
    for (let limit = least; limit <= least + 15; limit++) {
      for (const args of [
        'list',
        'stats vnet0 --netns lab',
        'log vnet0 --netns lab',
        'detach vnet9 --netns lab',
        'attach vnet1 --netns lab --when-full drop',
      ]) {
        if (args.startsWith('attach') && limit > least + 11) continue; // it may succeed, and stay in the foreground
        const { status, stderr } = limited(limit, args);
        if (status === 0) done++;
        else failed++;
        if (status !== 0) t.match(stderr, ONE_LINE_AND_HINT, `${limit} descriptors: ${args}`);
        t.equal(machine.shell('ls /run/vnet-bpf | grep -c "^........$"').trim(), '1', 'nothing more is there');
      }
    }
    t.ok(failed > 10 && done > 10, `${failed} failed, ${done} did it`);
    t.equal(machine.cli(['detach', ...VNET0]).status, 0);
  },
);
