// SPDX-License-Identifier: MIT
/** `--json`: one document on standard output, and nothing else. */
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, cli, cliStart } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { okIn, testNetns } from '../helpers/netns';

function documentOf<T>(t: Test, ...args: readonly string[]): T {
  const { status, stdout, stderr } = cli([...args, '--json']);
  t.equal(status, 0, `${args.join(' ')}: ${stderr}`);
  t.equal(stderr, '', `${args[0]}: nothing else`);
  return JSON.parse(stdout) as T;
}

t.test('documents', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  okIn(netns, 'ip', ['link', 'set', 'lo', 'up']);
  attachedIn(t, netns, ['--addr', '10.77.0.1/24']);
  const at = ['--netns', netns];
  const file = path.join(t.testdir({}), 'run.pcapng');

  const log = documentOf<Record<string, string>[]>(t, 'log', 'vnet0', ...at);
  t.match(
    log[0],
    { time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/, interface: 'vnet0', netns, text: /^loaded: vnet0 in namespace / },
    'log',
  );
  const follower = cliStart(t, ['log', 'vnet0', ...at, '--follow', '--json']);
  let followed = '';
  follower.stdout?.on('data', (bytes: Buffer) => (followed += bytes.toString()));

  const recorder = cliStart(t, ['record', 'vnet0', ...at, '-w', file, '-c', '2', '--json']);
  let recorded = '';
  recorder.stdout?.on('data', (bytes: Buffer) => (recorded += bytes.toString()));
  t.ok(await eventually(() => followed.includes('vnet0 is recorded')), 'log --follow goes on');
  t.same(
    followed
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { interface: string }).interface)
      .filter((name) => name !== 'vnet0'),
    [],
    'an object a line',
  );
  okIn(netns, 'ping', ['-c', '1', '-W', '10', '10.77.0.1']);
  t.ok(await eventually(() => recorder.exitCode !== null), 'the recording ends');
  t.match(JSON.parse(recorded), { interface: 'vnet0', netns, file, frames: 2, missed: 0 }, 'record');
  t.match(
    documentOf(t, 'replay', file, '--into', 'vnet0', ...at),
    { interface: 'vnet0', netns, file, sent: 2, refused: {}, cut: 0, seconds: Number },
    'replay',
  );
  t.match(cli(['record', 'vnet0', ...at, '-w', '-', '--json']), {
    status: 2,
    stdout: '',
    stderr: /standard output is for the recording/,
  });

  t.match(documentOf(t, 'detach', 'vnet0', ...at, '--dry-run'), [String], 'detach --dry-run');
  t.same(documentOf(t, 'detach', 'vnet0', ...at), { interface: 'vnet0', netns, detached: true, error: null }, 'detach');
  t.ok(await eventually(() => follower.exitCode !== null), 'log --follow ends with the interface');
  attachedIn(t, netns, [], 'vnet1');
  attachedIn(t, netns, [], 'vnet2');
  const expected = ['vnet1', 'vnet2'].map((name) => ({ interface: name, netns, detached: true, error: null }));
  t.same(documentOf(t, 'detach', '--all', ...at), expected, 'detach --all');
  t.same(documentOf(t, 'detach', '--all', ...at), [], 'and of none');
});

t.test('doctor', { skip: cannotRun }, async (t) => {
  const { stdout, stderr } = cli(['doctor', '--json']);
  const { checks } = JSON.parse(stdout) as { checks: { fix: string | null; mend: string | null }[] };
  t.equal(stderr, '');
  t.ok(checks.length > 10);
  for (const { fix, mend } of checks) t.equal(fix, mend, 'what to do has its former name, too');
});
