// SPDX-License-Identifier: MIT
/** `vnet-bpf run`: the command sees a network of its own, and its caller sees its output and its exit code. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t from 'tap';

import { frameAccounting, type Stats } from '../../../src/datapath/stats';
import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { hookFile } from '../../helpers/hook-file';
import { checkRefusal, refused, type Refusal } from '../../helpers/refusal';
import { isGone, namespaces, runsGo } from '../../helpers/run-command';

t.setTimeout(300_000 * SLOW);

const skip = cannotRun;
const PING = ['ping', '-q', '-c', '2', '-i', '0.1', '-W', String(2 * SLOW)];

t.test('a command in a network of its own', { skip }, async (t) => {
  const { status, stdout, stderr } = cli([
    'run',
    '--',
    'sh',
    '-c',
    `ip netns identify $$; ls /sys/fs/bpf; ${PING.join(' ')} 10.77.0.1; ${PING.join(' ')} fd77::1; ${PING.join(' ')} 127.0.0.1`,
  ]);
  t.equal(status, 0);
  const [netns = ''] = stdout.split('\n');
  t.match(netns, /^vnet-run-[0-9a-f]{8}$/);
  t.match(stdout, 'vnet-bpf\n', 'the BPF file system is in sight');
  t.equal(stdout.match(/ 0% packet loss/g)?.length, 3, 'both addresses answer, and so does lo');
  t.match(stderr, new RegExp(`^vnet0 in ${netns}: running, veth through (tcx|clsact)`), 'then come the counters');
  t.match(stderr, /accounting +\d+ in +\d+ out +balanced/);
  t.notMatch(stdout, 'running, veth', "standard output is the command's alone");
  t.ok(isGone(netns), 'nothing is left');
});

t.test("the exit code is the command's", { skip }, async (t) => {
  const status = (script: string): number =>
    cli(['run', '--stats', '/dev/null', '--addr', '10.77.0.1/24', '--', 'sh', '-c', script]).status;
  t.equal(status('exit 7'), 7);
  t.equal(status('kill -TERM $$'), 128 + os.constants.signals.SIGTERM);
  const directory = t.testdir({ 'no-program': 'text', 'no-interpreter': '#!/nowhere/at-all\n' });
  fs.chmodSync(path.join(directory, 'no-interpreter'), 0o755);
  for (const [program, expected, why] of [
    ['/nowhere/at-all', 127, /there is none of that name/],
    [path.join(directory, 'no-program'), 126, /cannot be executed: EACCES/],
    [
      path.join(directory, 'no-interpreter'),
      126,
      /cannot be executed: its interpreter, which the first line names, is not there/,
    ],
  ] as const) {
    const result = cli(['run', '--', program]);
    t.equal(result.status, expected);
    checkRefusal(t, { ...result, status: 1 }, { args: [], status: 1, says: why, hints: /PATH|chmod/ }, program);
  }
});

t.test('options: addresses, a hook, the counters as JSON in a file', { skip }, async (t) => {
  const hook = hookFile(
    t,
    'deaf.mjs',
    `let seen = 0;\nexport default (frame) => { if (frame.icmp && ++seen === 1) throw new Error('oh'); return frame.icmp ? 'drop' : 'pass'; };`,
  );
  const file = path.join(t.testdir({}), 'stats.json');
  const { status, stdout, stderr } = cli([
    'run',
    '--addr',
    '10.9.8.7/24',
    '--hook',
    hook,
    '--on-hook-error',
    'drop',
    '--json',
    '--stats',
    file,
    '--',
    ...PING,
    '10.9.8.7',
  ]);
  t.equal(status, 1, 'as ping says that it heard nothing');
  t.match(stdout, '100% packet loss');
  t.match(stderr, /^vnet-bpf: hook .*deaf\.mjs:2: Error: oh/, 'errors of the hook are seen');
  const stats = JSON.parse(fs.readFileSync(file, 'utf8')) as Stats;
  t.equal(stats.interface, 'vnet0');
  t.equal(stats.hooks.dropped, 2);
  t.ok(frameAccounting(stats).balanced);
  const { stderr: json } = cli(['run', '--json', '--', 'true']);
  t.equal((JSON.parse(json) as Stats).backend, 'veth', 'without --stats it goes to standard error');
});

t.test('what cannot be', { skip }, async (t) => {
  const before = namespaces();
  const wrong: [string[], RegExp, (1 | 2)?][] = [
    [['run'], /which command\? It comes behind --/],
    [['run', '--'], /which command/],
    [['run', 'ping'], /its command comes behind --/],
    [['run', '--frob', '--', 'true'], /frob/],
    [['run', '--netns', 'x', '--', 'true'], /^vnet-bpf: --netns: is not an option of run$/],
    [['run', '--addr', '10.0.0.1', '--', 'true'], /--addr "10\.0\.0\.1".*prefix/],
    [['run', '--addr', '10.0.0.1/8', '--addr', '10.0.0.1/24', '--', 'true'], /twice/],
    [['run', '--on-hook-error', 'cry', '--', 'true'], /cry/],
    [['run', '--stats', '/nowhere/at/all', '--', 'true'], /--stats "\/nowhere\/at\/all": cannot be written: ENOENT/],
    [['run', '--hook', '/nowhere.ts', '--', 'true'], /there is no such file/, 1],
  ];
  await refused(
    t,
    wrong.map(([args, says, status = 2]): Refusal => ({ args, status, says })),
  );
  await runsGo(t, before);
});
