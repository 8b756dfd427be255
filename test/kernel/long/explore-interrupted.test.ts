// SPDX-License-Identifier: MIT
/** `vnet-bpf explore` that is ended early, stopped, or loses its files: what it says, and what is left. */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, cli, MAIN, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { exploring } from '../../helpers/explore';
import { hookDirectory } from '../../helpers/hook-file';
import { SOMEBODY } from '../../helpers/trap';

t.setTimeout(300_000 * SLOW);

interface Started {
  child: ChildProcess;
  repro: string;
  output(): string;
  errors(): string;
  status: Promise<number | null>;
}

/** Explores a program in the background. */
function start(t: Test, rules: string, command: readonly string[], options: readonly string[] = []): Started {
  const repro = path.join(hookDirectory(t), 'repro');
  const child = spawn(
    process.execPath,
    [MAIN, 'explore', '--faults', rules, '--addr', '10.77.0.1/24', '--repro', repro, ...options, '--', ...command],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let output = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const status = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, repro, output: () => output, errors: () => errors, status };
}

t.test('ended while it makes the faults fewer: the best so far', { skip: cannotRun }, async (t) => {
  // Fails a second after the first lost ping, so that there is time to end it.
  const run = start(t, 'icmp: loss 50% delay 1ms', [
    'sh',
    '-c',
    'ping -c 5 -i 0.2 -W 1 10.77.0.1 | grep -q " 0% packet loss"',
  ]);
  t.ok(await eventually(() => /after \d+ faults/.test(run.errors()), 60_000 * SLOW), run.errors());
  await new Promise((resolve) => setTimeout(resolve, 8000));
  run.child.kill('SIGINT');
  t.equal(await run.status, 3, run.errors());
  t.match(run.output(), /^fails when [^]*\nended early: fewer or smaller faults may do\n/);
  t.ok(fs.existsSync(`${run.repro}.faults.json`));
  t.same(exploring(), []);
});

t.test('others take the names of its files meanwhile', { skip: cannotRun }, async (t) => {
  const run = start(t, 'icmp nth 1: drop', ['ping', '-c', '1', '-W', '1', '10.77.0.1']);
  t.ok(await eventually(() => exploring().length > 0, 30_000 * SLOW));
  const victim = path.join(path.dirname(run.repro), 'victim');
  fs.writeFileSync(victim, 'secret');
  fs.writeFileSync(`${run.repro}.faults.json`, 'theirs');
  fs.symlinkSync(victim, `${run.repro}.pcapng`);
  for (const name of ['faults.json', 'pcapng']) fs.lchownSync(`${run.repro}.${name}`, SOMEBODY, SOMEBODY);
  t.equal(await run.status, 3, run.errors());
  t.match(run.output(), /^fails when the 1st message from the client of the 1st ICMP connection is dropped\n/);
  t.match(
    run.output(),
    /\n\S+\.faults\.json could not be written, because \S+ belongs to somebody else: icmp [^\n]+: drop\n/,
  );
  t.match(run.output(), /\nrecording \S+\.pcapng: \S+ is a link of somebody else\n/);
  t.match(run.output(), /\nagain: vnet-bpf run --addr 10.77.0.1\/24 --faults 'icmp [^']+: drop' --seed 1 -- ping /);
  t.equal(fs.readFileSync(victim, 'utf8'), 'secret');
  const refused = cli(['explore', '--faults', 'udp: drop', '--repro', run.repro, '--', 'true']);
  t.match(
    refused,
    { status: 2, stderr: /--repro ".*": \S+\.faults\.json belongs to somebody else\nhint: / },
    'at the start',
  );
  t.same(exploring(), []);
});

t.test('ended before it has found anything', { skip: cannotRun }, async (t) => {
  const run = start(t, 'udp: drop', ['sleep', '60']);
  t.ok(await eventually(() => exploring().length > 0, 30_000 * SLOW));
  run.child.kill('SIGTERM');
  t.equal(await run.status, 143);
  t.same(exploring(), []);
});

t.test('killed: nothing is left', { skip: cannotRun }, async (t) => {
  const run = start(t, 'udp: drop', ['sleep', '60']);
  t.ok(await eventually(() => exploring().length > 0, 30_000 * SLOW));
  run.child.kill('SIGKILL');
  await run.status;
  t.ok(await eventually(() => exploring().length === 0, 30_000 * SLOW), 'its guardian has removed the network');
});

t.test('a run during which it was stopped says nothing', { skip: cannotRun }, async (t) => {
  const marks = hookDirectory(t);
  // Pings after a second, for which it is stopped the first time that the command runs.
  const script = `[ -e ${marks}/once ] || { touch ${marks}/once; sleep 1; }; exec ping -c 1 -W 1 10.77.0.1`;
  const run = start(t, 'udp: drop', ['sh', '-c', script], ['--runs', '2']);
  t.ok(await eventually(() => fs.existsSync(`${marks}/once`), 30_000 * SLOW));
  run.child.kill('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 4000));
  run.child.kill('SIGCONT');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.ok(await eventually(() => run.child.exitCode !== null, 240_000 * SLOW));
  t.equal(await run.status, 0, `the ping that failed meanwhile does not count: ${run.output()}${run.errors()}`);
});
