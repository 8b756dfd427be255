// SPDX-License-Identifier: MIT
/** --dry-run: says what would be done, refuses what would be refused, and changes nothing at all. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW } from '../../helpers/cli';
import { eventually, listed } from '../../helpers/controller';
import { withoutDummy } from '../../helpers/dummy';
import { ok, run, testNetns } from '../../helpers/netns';
import { PrivateMachine } from '../../helpers/private-machine';
import { sameAs, snapshot } from '../../helpers/snapshot';

t.setTimeout(120_000 * SLOW);

/** The result, without the interfaces that other tests have attached meanwhile. */
const ofThis = ({ status, stderr }: ReturnType<typeof cli>): { status: number | null; stderr: string } => ({
  status,
  stderr: stderr.replace(/attached are: .*/, 'attached are: ...'),
});

/** The steps of a dry run. A step of few words would not say what it does to what. */
function steps(t: Test, args: readonly string[]): string[] {
  const lines = cliOk([...args, '--dry-run'])
    .trimEnd()
    .split('\n');
  t.same(
    lines.filter((line) => line.split(' ').length < 4),
    [],
    `${args[0]}: a step a line`,
  );
  return lines;
}

/** Each of the patterns is one of the steps, in that order. */
function inOrder(t: Test, lines: readonly string[], ...patterns: RegExp[]): void {
  const at = patterns.map((pattern) => lines.findIndex((line) => pattern.test(line)));
  t.same(
    at.filter((line) => line < 0),
    [],
    `there is a step for each: ${patterns[at.indexOf(-1)] ?? 'yes'}`,
  );
  t.same(
    at,
    [...at].sort((a, b) => a - b),
    'in order',
  );
}

t.test('attach', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const where = ['vnet0', '--netns', netns];
  const lines = steps(t, [
    'attach',
    ...where,
    '--addr',
    '10.77.0.1/24',
    '--mtu',
    '4000',
    '--ring-size',
    '1M',
    '--daemon',
  ]);
  inOrder(
    t,
    lines,
    /^make the veth vnet0 in namespace \S+, .* 4000/,
    /waiting room/,
    /^load .*vnet\.bpf\.o, .* 1048576/,
    /^attach tx to vnet0/,
    /^poll vnet0/,
    /^set vnet0 .* up, with 10\.77\.0\.1\/24/,
    /^route .* 10\.77\.0\.1 /,
  );
  t.same(
    JSON.parse(cliOk(['attach', ...where, '--dry-run', '--json', '--type', 'dummy'])).filter((line: string) =>
      /waiting room|peer namespace/.test(line),
    ),
    [],
    'a dummy has neither a waiting room nor a peer',
  );
  await sameAs(t, before, 'nothing has changed', netns);

  ok('ip', ['-n', netns, 'link', 'add', 'taken0', 'type', 'veth', 'peer', 'name', 'taken1']);
  const noDummy = withoutDummy();
  const hasDummy = noDummy === false;
  if (hasDummy) ok('ip', ['-n', netns, 'link', 'add', 'vnet1', 'type', 'dummy']);
  else t.comment(noDummy);
  const made = snapshot(netns);
  if (hasDummy) inOrder(t, steps(t, ['attach', 'vnet1', '--netns', netns]), /^use the dummy vnet1/);
  const ofDummies: [string[], number, RegExp][] = [
    [['attach', 'vnet1', '--netns', netns, '--mtu', '1400'], 2, /left alone/],
    [['attach', 'vnet1', '--netns', netns, '--when-full', 'hold'], 1, /no place/],
  ];
  const refusals: [string[], number, RegExp][] = [
    ...(hasDummy ? ofDummies : []),
    [['attach', 'taken0', '--netns', netns], 1, /taken0: exists already/],
    [['attach', 'vnet0', '--netns', 'nobody-has-this'], 1, /none of that name/],
    [['attach', ...where, '--hook', '/nowhere.ts'], 1, /no such file/],
    [['attach', ...where, '--budget', '0'], 2, /--budget/],
    [['detach', ...where], 1, /is not attached/],
  ];
  for (const [args, status, says] of refusals) {
    const dry = ofThis(cli([...args, '--dry-run']));
    const real = ofThis(cli(args));
    t.same(dry, real, `${args.join(' ')}: refused as it would be`);
    t.equal(dry.status, status);
    t.match(dry.stderr, says);
  }
  await sameAs(t, made, 'nothing has changed', netns);
});

t.test('what is attached, or has crashed', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24']);
  const { id, pid } = attachmentOf(nic);
  const where = ['vnet0', '--netns', netns];
  const before = snapshot(netns);
  t.match(cli(['attach', ...where, '--dry-run']).stderr, /attached already/);
  inOrder(
    t,
    steps(t, ['attach', ...where, '--replace']),
    new RegExp(`^ask process ${pid} `),
    /^delete the veth vnet0/,
    /^make the veth vnet0/,
  );
  const lines = steps(t, ['detach', ...where]);
  inOrder(
    t,
    lines,
    new RegExp(`^ask process ${pid} `),
    /routing rules .* 10\.77\.0\.1$/,
    /^delete the veth vnet0 in/,
    /^delete the waiting room/,
    /^remove the pins /,
    /^remove the record /,
  );
  t.match(steps(t, ['detach', '--all']).join('\n'), id);
  t.equal(listed(netns, 'vnet0')?.state, 'running', 'it loops on');
  await sameAs(t, before, 'nothing has changed', netns);

  process.kill(pid, 'SIGKILL');
  t.ok(await eventually(() => listed(netns, 'vnet0')?.state === 'crashed'));
  const crashed = snapshot(netns);
  inOrder(t, steps(t, ['attach', ...where]), new RegExp(`^adopt vnet0 .* ${pid} `), /^poll vnet0/);
  t.match(cli(['attach', ...where, '--dry-run', '--ring-size', '1M']).stderr, /--ring-size 8388608/);
  inOrder(t, steps(t, ['detach', ...where]), /^discard .* crashed$/, /^delete the veth/);
  await sameAs(t, crashed, 'nothing has changed', netns);

  // What the steps name exists, and is gone when they are done.
  const files = lines.flatMap((line) => /^remove the (?:pins|record) (\S+)$/.exec(line)?.[1] ?? []);
  t.same(
    files.map((file) => fs.existsSync(file)),
    [true, true],
    'what it names is there',
  );
  cliOk(['detach', ...where]);
  t.same(
    files.map((file) => fs.existsSync(file)),
    [false, false],
    'and gone after detach',
  );
  t.equal(run('ip', ['-n', netns, 'link', 'show', 'vnet0']).status, 1);
});

t.test('on a machine where nothing has ever been attached', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('while umount /sys/fs/bpf 2>/dev/null; do :; done');
  const { status, stdout, stderr } = machine.cli(['attach', 'vnet0', 'vnet1', '--dry-run']);
  t.same({ status, stderr }, { status: 0, stderr: '' });
  inOrder(
    t,
    stdout.split('\n'),
    /^make the peer namespace/,
    /^mount the BPF file system/,
    /^make the veth vnet0,/,
    /^make the veth vnet1,/,
  );
  t.equal(stdout.split('make the peer namespace').length, 2, 'the peer namespace is made once');
  t.same(
    machine.residue().filter((line) => !line.startsWith('/sys/fs/bpf')),
    [],
    'nothing has been made',
  );
  t.equal(machine.cli(['detach', '--all', '--dry-run']).stdout, 'nothing is attached\n');
});
