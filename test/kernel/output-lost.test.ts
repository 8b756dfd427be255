// SPDX-License-Identifier: MIT
/** Every command when its output cannot be written: a report fails with one line, and work is still done. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { COMMANDS } from '../../src/cli/commands';
import type { Command } from '../../src/cli/declarations';
import { cannotRun, MAIN, SLOW } from '../helpers/cli';
import type { Result } from '../helpers/netns';
import { PrivateMachine } from '../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

interface Invocation {
  /** Besides its operands. */
  options: string[];
  /** Its output is news about its work: the exit code is that of the work. */
  acts?: boolean;
}

const OPERANDS: Readonly<Record<string, string>> = { iface: 'vnet0', shell: 'bash', direction: 'up' };

/** Commands that need more than their operands, or that do not just show something. All others are reports. */
const INVOCATIONS: Readonly<Record<string, Invocation>> = {
  attach: { options: ['--replace', '--daemon', '--addr', '10.77.0.1/24'], acts: true },
  run: { options: ['--', 'sh', '-c', 'exit 7'], acts: true },
  detach: { options: [], acts: true },
  hook: { options: ['--none'], acts: true },
  explore: { options: ['--faults', 'icmp: drop', '--runs', '1', '--', 'true'], acts: true },
  carrier: { options: [], acts: true },
  impair: { options: ['--show'] },
  faults: { options: ['--show'] },
  step: { options: [], acts: true },
  record: { options: ['--write', '-', '--duration', '0.1'] },
  replay: { options: ['--into', 'vnet0'], acts: true },
  extcap: { options: ['--extcap-interfaces'] },
};

/** These have tests of their own: in test/kernel/long, because it takes twelve seconds, and in web.test.ts. */
const ELSEWHERE = ['demo', 'web'];

const LOST = /^vnet-bpf: standard output: cannot be written: [^\n]+ \((ENOSPC|EPIPE)\)\n?$/;
/** Descriptor 5 is a pipe that no process reads. */
const NOBODY_READS = 'rm -f pipe; mkfifo pipe; exec 4<>pipe 5>pipe 4<&-';

/** Arguments that do what the command is for. */
function argumentsOf(command: Command, files: Readonly<Record<string, string>>): string[] {
  const operands = command.operands.filter(
    ({ required, choices, offers }) => required || choices || offers === 'interfaces',
  );
  const values = operands.map(({ name }) => files[name] ?? OPERANDS[name] ?? `no-${name}`);
  return [command.name, ...values, ...(INVOCATIONS[command.name]?.options ?? [])];
}

const quoted = (args: readonly string[]): string => args.map((arg) => `'${arg}'`).join(' ');

t.test('every command', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const directory = t.testdir({});
  const capture = path.join(directory, 'capture.pcapng');
  const shell = (script: string): Result => machine.run('sh', ['-c', `cd '${directory}'; ${script}`]);
  const command = quoted([process.execPath, MAIN]);
  const isAttached = (): boolean => shell('ip -br link').stdout.includes('vnet0');
  t.match(machine.cli(['attach', 'vnet0', '--daemon']), { status: 0 });
  t.match(machine.cli(['record', 'vnet0', '-w', capture, '--duration', '0.1']), { status: 0 });

  for (const each of COMMANDS.filter(({ name }) => !ELSEWHERE.includes(name))) {
    const args = argumentsOf(each, { file: each.name === 'replay' ? capture : '' });
    const acts = INVOCATIONS[each.name]?.acts ?? false;
    const done = each.name === 'run' ? 7 : 0;
    t.test(`${each.name}: ${acts ? 'works on' : 'fails with one line'}`, async (t) => {
      if (each.name !== 'attach' && !isAttached()) machine.cli(['attach', 'vnet0', '--daemon']);
      const full = shell(`${command} ${quoted(args)} </dev/null >/dev/full`);
      t.equal(full.status, acts ? done : 1, `a full disk: exit code (${full.stderr.trim()})`);
      const lines = full.stderr.split('\n').filter((line) => line.startsWith('vnet-bpf: '));
      if (each.name === 'run') t.same(lines, [], "its own standard output is the command's");
      else t.match(lines, [LOST], 'one line');
      if (!acts) t.match(full.stderr, /^[^\n]+\n$/, 'and no more');
      t.equal(isAttached(), each.name !== 'detach', 'the network is what the command makes of it');

      if (each.name === 'detach') machine.cli(['attach', 'vnet0', '--daemon']);
      const nobody = shell(`${NOBODY_READS}; ${command} ${quoted(args)} </dev/null >&5 2>&5`);
      t.equal(nobody.status, acts ? done : 1, 'nobody reads what it says, nor what it complains of: exit code');
      t.equal(isAttached(), each.name !== 'detach', 'the network, again');
      t.end();
    });
  }
  for (const args of [
    ['--help'],
    ['--version'],
    ['attach', '--help'],
    ['run', '--help', '--', 'true'],
    ['attach', 'vnet9', '--dry-run'],
    ['detach', '--all', '--dry-run'],
    ['list', '--json'],
    ['stats', '--prometheus'],
    ['doctor', '--json'],
  ]) {
    const { status, stderr } = shell(`${command} ${quoted(args)} >/dev/full`);
    t.equal(status, 1, `${args.join(' ')}: exit code`);
    t.match(stderr, LOST, 'one line');
  }
  machine.cli(['detach', '--all']);
});

t.test('several interfaces are detached, whoever reads of the first', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.match(machine.run('sh', ['-c', `'${process.execPath}' '${MAIN}' attach vnet0 vnet1 vnet2 --daemon >/dev/full`]), {
    status: 0,
    stderr: LOST,
  });
  t.match(machine.run('sh', ['-c', `'${process.execPath}' '${MAIN}' detach --all >/dev/full`]), {
    status: 0,
    stderr: LOST,
  });
  t.same(machine.residue(), [], 'nothing is left');
});

t.test('the counters of a run', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const { status, stderr } = machine.cli(['run', '--stats', '/dev/full', '--', 'sh', '-c', 'exit 7']);
  t.equal(status, 7, "the exit code is the command's");
  t.match(stderr, /^vnet-bpf: --stats \/dev\/full: cannot be written: ENOSPC\n$/);
  t.same(
    machine.residue().filter((line) => line !== '/run/netns'),
    [],
    'nothing is left',
  );
});

t.test('a report that goes on ends with its reader, though it has nothing to say', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const goesOn = (args: string): Result =>
    machine.run('bash', [
      '-c',
      `timeout ${10 * SLOW} '${process.execPath}' '${MAIN}' ${args} | true; exit "$PIPESTATUS"`,
    ]);
  t.match(goesOn('top --interval 0.1'), { status: 1, stderr: LOST }, 'top, while nothing is attached');
  t.equal(machine.cli(['attach', 'vnet0', '--daemon']).status, 0);
  t.match(goesOn('stats --watch 0.1'), { status: 1, stderr: LOST });
  const { status, stderr } = machine.run('bash', [
    '-c',
    `timeout ${10 * SLOW} '${process.execPath}' '${MAIN}' log vnet0 --follow | head -n 1 >/dev/null; exit "$PIPESTATUS"`,
  ]);
  t.match({ status, stderr }, { status: 1, stderr: LOST }, 'log, while nothing happens');
  machine.cli(['detach', '--all']);
});

t.test('a recording that nobody reads ends in time, and says why', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.equal(machine.cli(['attach', 'vnet0', '--daemon']).status, 0);
  const full = `cd '${t.testdir({})}'; mkfifo pipe; exec 5<>pipe; timeout 1 cat /dev/zero >&5; timeout ${20 * SLOW} '${process.execPath}' '${MAIN}' record vnet0 --duration 0.1`;
  t.match(
    machine.run('sh', ['-c', `${full} -w - >&5`]),
    {
      status: 1,
      stderr: /^vnet-bpf: standard output: cannot be written: nobody reads what is there already \(EAGAIN\)\n$/,
    },
    'standard output',
  );
  t.match(
    machine.run('sh', ['-c', full.replace('mkfifo pipe; ', '') + ' -w pipe']),
    { status: 1, stderr: /^vnet-bpf: recording pipe: ends early: [^\n]+\nhint: [^\n]+\n$/ },
    'a pipe by its name',
  );
  machine.cli(['detach', '--all']);
});

t.test('what a report says besides, on standard error, is no reason to fail', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const withoutStderr = (args: string): Result =>
    machine.run('bash', [
      '-c',
      `timeout -s INT 3 '${process.execPath}' '${MAIN}' ${args} 2>/dev/full >'${t.testdirName}/out'; echo $?`,
    ]);
  t.testdir({});
  t.equal(machine.cli(['attach', 'vnet0', '--daemon']).status, 0);
  t.equal(withoutStderr('record vnet0 -w - --duration 0.1').stdout, '0\n', 'how many frames were recorded');
  // timeout(1) ends with 124 whatever it has ended.
  t.equal(withoutStderr('web --listen 0.0.0.0:0 --allow-remote').stdout, '124\n', 'that others can reach the page');
  t.match(fs.readFileSync(path.join(t.testdirName, 'out'), 'utf8'), /^http:/);
  machine.cli(['detach', '--all']);
});

/** Prints for each command whether the pipe at descriptor 5, which it shares with this shell, has O_NONBLOCK meanwhile. */
const SHARED = `
mkfifo shared; exec 5<>shared
blocks() { flags=$(sed -n 's/^flags:[^0-9]*//p' /proc/$$/fdinfo/5); echo "$1 $(( (flags & 04000) == 0 ))"; }
$CLI attach vnet5 >&5 2>&5 & attach=$!; read -r line <&5; blocks attach; kill $attach; wait
$CLI record vnet0 -w - >&5 2>/dev/null & record=$!; head -c 4 <&5 >/dev/null; blocks record; kill $record; wait
$CLI step vnet0 <&5 >step & step=$!
while ! grep -q paused step; do sleep 0.05; done; blocks step; kill $step; wait
$CLI replay - --into vnet0 <&5 2>/dev/null & replay=$!; sleep 1; blocks replay; kill -9 $replay; wait
`;

t.test('a pipe that other programs share stays blocking for them', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.match(machine.cli(['attach', 'vnet0', '--daemon']), { status: 0 });
  const command = quoted([process.execPath, MAIN]);
  const { stdout } = machine.run('sh', ['-c', `cd '${t.testdir({})}'; ${SHARED.replaceAll('$CLI', command)}`]);
  t.equal(stdout, 'attach 1\nrecord 1\nstep 1\nreplay 1\n');
});
