// SPDX-License-Identifier: MIT
/** `vnet-bpf explore`: the bug that takes longest, other results than a fault, and what is left when it is ended early. */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, cli, MAIN, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { explore } from '../../helpers/explore';
import { hookDirectory } from '../../helpers/hook-file';
import { namespaces } from '../../helpers/run-command';
import { toolPath } from '../../helpers/tool-process';
import { SOMEBODY } from '../../helpers/trap';

t.setTimeout(300_000 * SLOW);

const ours = (): string[] => namespaces().filter((name) => name.startsWith('vnet-explore-'));

t.test('a cut of two seconds', { skip: cannotRun }, async (t) => {
  const repro = path.join(hookDirectory(t), 'repro');
  const start = performance.now();
  const rules = 'udp port 7005 from client probability 4%: cut 2s; udp port 7005: delay 3ms jitter 3ms loss 5%';
  const program = [process.execPath, toolPath('planted-bugs'), 'cut'];
  const { status, stdout, stderr } = cli([
    'explore',
    ...['--faults', rules, '--addr', '10.77.0.1/24', '--jobs', '3', '--repro', repro, '--', ...program],
  ]);
  t.comment(`${Math.round((performance.now() - start) / 1000)} s\n${stdout}\n${stderr}`);
  t.equal(status, 3);
  t.match(
    stdout,
    /^fails when nothing arrives for (1\.5|2) s, from the \d+\w\w datagram from the client of the 1st connection to UDP 7005 on\n/,
  );
  t.match(stdout, /\nexit code 1 in \d+ of \d+ runs with this fault, failures in 0 of \d+ runs without\n/);
  t.match(stdout, /\nagain: vnet-bpf run --addr 10.77.0.1\/24 --faults \S+\/repro.faults.json -- /);
  t.match(stdout, /\n {2}the other side is dead\n$/);
  const again = cli(['run', '--stats', '/dev/null', '--faults', `${repro}.faults.json`, '--', ...program]);
  t.equal(again.status, 1, again.stderr);
  t.ok(fs.existsSync(`${repro}.pcapng`));
});

t.test('a program that fails by itself', { skip: cannotRun }, async (t) => {
  const { status, document } = explore(t, 'flaky', 'udp port 7006: loss 5%');
  t.equal(status, 4);
  t.match(document, { result: 'flaky', files: null });
  t.ok(document.without.failed > 0, 'it has failed without faults');
  t.ok(document.without.failed < document.without.runs, 'and not each time');
});

t.test('nothing found, and what is wrong with the arguments', { skip: cannotRun }, async (t) => {
  const { status, document } = explore(t, 'syn-ack', 'tcp port 7001: delay 1ms', '--runs', '4');
  t.equal(status, 0);
  t.match(document, { result: 'nothing', explored: 4, without: { failed: 0 }, sentence: null });
  for (const [args, message] of [
    [['--', 'true'], /--faults is missing/],
    [['--faults', 'udp: drop'], /which command\?/],
    [['--faults', 'udp: dorp', '--', 'true'], /"dorp"/],
    [['--faults', 'udp: drop', '--runs', '0', '--', 'true'], /--runs "0": is not a whole number/],
    [['--faults', 'udp: drop', '--jobs', 'x', '--', 'true'], /--jobs "x": is not a whole number/],
    [['--faults', 'udp: drop', '--timeout', '0', '--', 'true'], /--timeout "0"/],
    [['--faults', 'udp: drop', '--repro', '/nowhere/repro', '--', 'true'], /--repro "\/nowhere\/repro"/],
  ] as const) {
    const refused = cli(['explore', ...args]);
    t.equal(refused.status, 2, args.join(' '));
    t.match(refused.stderr, message);
    t.match(refused.stderr, /\nhint: /);
  }
  t.match(cli(['explore', '--faults', 'udp: drop', '--', '/nowhere/program']), {
    status: 1,
    stderr: /there is none of that name/,
  });
  t.same(ours(), [], 'no namespace is left');
});

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
  t.same(ours(), []);
});

t.test('others take the names of its files meanwhile', { skip: cannotRun }, async (t) => {
  const run = start(t, 'icmp nth 1: drop', ['ping', '-c', '1', '-W', '1', '10.77.0.1']);
  t.ok(await eventually(() => ours().length > 0, 30_000 * SLOW));
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
  t.same(ours(), []);
});

t.test('ended before it has found anything', { skip: cannotRun }, async (t) => {
  const run = start(t, 'udp: drop', ['sleep', '60']);
  t.ok(await eventually(() => ours().length > 0, 30_000 * SLOW));
  run.child.kill('SIGTERM');
  t.equal(await run.status, 143);
  t.same(ours(), []);
});

t.test('killed: nothing is left', { skip: cannotRun }, async (t) => {
  const run = start(t, 'udp: drop', ['sleep', '60']);
  t.ok(await eventually(() => ours().length > 0, 30_000 * SLOW));
  run.child.kill('SIGKILL');
  await run.status;
  t.ok(await eventually(() => ours().length === 0, 30_000 * SLOW), 'its guardian has removed the network');
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
