// SPDX-License-Identifier: MIT
/** How `vnet-bpf run` ends: by signals, by a terminal's keys, killed, or one of many. Nothing is left in any case. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { eventually, lives } from '../../helpers/controller';
import { run } from '../../helpers/netns';
import { inGroup, pidsGroup } from '../../helpers/pids-group';
import { isGone, namespaces, runsGo, startRun } from '../../helpers/run-command';
import { withoutTools } from '../../helpers/traffic';
import { PLAIN } from '../../helpers/trap';

t.setTimeout(300_000 * SLOW);

const skip = cannotRun;
/** As many processes fewer than run has while its command runs, so that it can start none, and its guardian can. */
const FEW = 4;

/** Whether a process has a handler of its own for a signal; Node has none for most. */
function catches(pid: number, signal: NodeJS.Signals): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${caught}`) >> BigInt(os.constants.signals[signal] - 1)) & 1n) === 1n;
}

t.test('signals reach the command', { skip }, async (t) => {
  const names = ['INT', 'HUP', 'QUIT', 'USR1', 'TERM'];
  const traps = names.map((name) => `trap 'echo got ${name}' ${name}`).join('; ');
  const { child, netns, ended, output } = await startRun(
    t,
    `${traps}; trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.05; done`,
  );
  for (const name of names) {
    child.kill(`SIG${name}` as NodeJS.Signals);
    t.ok(await eventually(() => output().includes(`got ${name}`)), `SIG${name}`);
  }
  t.equal(await ended, 9, 'and it decides what to do about it');
  t.ok(isGone(netns));
});

t.test('the exit code tells of every signal that ended the command', { skip }, async (t) => {
  const endedBy = async (signal: number): Promise<unknown> =>
    (await startRun(t, `echo ready; exec sleep 0.$(kill -${signal} $$)`)).ended;
  for (const signal of [9, 16, 34, 64]) t.equal(await endedBy(signal), 128 + signal, `signal ${signal}`);
});

t.test('a signal before the command has begun', { skip }, async (t) => {
  const began = path.join(t.testdir({}), 'began');
  // Run without tap's loader, which would catch signals before the command does.
  const [program, ...plain] = PLAIN;
  const child = spawn(program, [...plain, 'run', '--', 'touch', began], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  t.ok(
    await eventually(() => catches(child.pid ?? 0, 'SIGUSR2')),
    'it is prepared for signals before it makes anything',
  );
  child.kill('SIGTERM');
  t.equal(await ended, 128 + os.constants.signals.SIGTERM);
  t.notOk(fs.existsSync(began), 'the command was not started');
  t.equal(said, '');
});

t.test("a terminal's Ctrl-C reaches it once", { skip: skip || withoutTools('script') }, async (t) => {
  // The command is Node, because a shell takes two signals that come close together for one.
  const count = `let n = 0; process.on('SIGINT', () => n++); setTimeout(() => console.log('times ' + n), ${1000 * SLOW}); console.log('ready');`;
  const file = path.join(t.testdir({ 'count.js': count }), 'count.js');
  const command = `env -u NODE_OPTIONS '${process.execPath}' '${MAIN}' run --stats /dev/null -- '${process.execPath}' '${file}'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  t.ok(await eventually(() => output.includes('ready')));
  child.stdin.write('\x03');
  await new Promise((resolve) => child.once('close', resolve));
  t.match(output, 'times 1');
});

t.test('keys reach a command in a process group of its own', { skip: skip || withoutTools('script') }, async (t) => {
  for (const [key, signal] of [
    ['\x03', 'SIGINT'],
    ['\x1c', 'SIGQUIT'],
  ] as const) {
    const command = `env -u NODE_OPTIONS '${process.execPath}' '${MAIN}' run --stats /dev/null -- setsid sh -c 'echo ready; exec sleep 60'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    t.ok(await eventually(() => output.includes('ready')));
    child.stdin.write(key);
    const status = await new Promise((resolve) => child.once('close', resolve));
    t.equal(status, 128 + os.constants.signals[signal], signal);
  }
});

t.test('the modes that it gives the terminal stay', { skip: skip || withoutTools('script') }, (t) => {
  const command = `env -u NODE_OPTIONS '${process.execPath}' '${MAIN}' run --stats /dev/null -- stty tostop; stty -a`;
  t.match(run('script', ['-qec', command, '/dev/null']).stdout, / tostop /);
  t.end();
});

t.test('what it leaves running is ended, and what a kill of ours leaves too', { skip }, async (t) => {
  const left = await startRun(t, `sleep 1000 >/dev/null & echo $!`);
  t.equal(await left.ended, 0);
  t.notOk(lives(Number(left.output())), 'a background process goes with its network');

  const attach = `'${process.execPath}' '${MAIN}' attach vnet1 --daemon --json`;
  const crashed = await startRun(t, `kill -KILL $(${attach} | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p'); echo ready`);
  t.equal(await crashed.ended, 0);
  t.ok(isGone(crashed.netns), 'so does an interface whose controller has crashed');

  const { child, netns, output } = await startRun(t, `trap '' TERM; echo $$; while :; do sleep 1; done`);
  const pid = Number(output());
  t.ok(lives(pid));
  child.kill('SIGKILL');
  t.ok(await eventually(() => isGone(netns) && !lives(pid)), 'namespace, interface and command go');
});

t.test('a run in a run', { skip }, async (t) => {
  const before = namespaces();
  const inner = `'${process.execPath}' '${MAIN}' run --stats /dev/null --`;
  const outer = await startRun(
    t,
    `${inner} sh -c 'trap : TERM; ip netns identify $$; while :; do sleep 0.1; done' & read -r go; exit 3`,
  );
  const names = (): string[] => outer.output().split('\n').filter(Boolean);
  t.ok(await eventually(() => names().length > 0), 'the inner one runs');
  const [netns = ''] = names();
  outer.child.stdin?.end('go\n');
  t.equal(await outer.ended, 3);
  t.ok(isGone(outer.netns));
  t.ok(await eventually(() => isGone(netns)), 'what SIGTERM does not end at once goes, too');
  await runsGo(t, before);
});

t.test('where no process can be started any more', { skip }, async (t) => {
  const group = pidsGroup(t);
  if (group === null) return void t.pass('there is no control group with a limit of processes', { skip: true });
  // When the command has ended, run cannot start another process. When it has ended, too, its guardian can.
  const { child, netns, ended, output, errors } = await startRun(
    t,
    `sleep 1000 >/dev/null & echo $!; read -r go; read -r now <'${group}/pids.current'; echo $((now - ${FEW})) >'${group}/pids.max'; exit 7`,
    inGroup(group),
  );
  child.stdin?.end('go\n');
  t.equal(await ended, 7, "the exit code is the command's");
  t.match(errors(), /no more threads or processes may be started[^\n]*\nhint: /);
  t.notOk(lives(Number(output())), 'what the command left is ended');
  t.ok(await eventually(() => isGone(netns)), 'and the guardian removes the rest');
});

t.test('side by side', { skip }, async (t) => {
  const count = Number(process.env['VNET_BPF_TEST_RUNS'] ?? (SLOW > 1 ? 2 : 5));
  // One ping each: with several, ping waits for the last reply no longer than twice an earlier round trip, and then
  // counts it as lost.
  const runs = await Promise.all(
    Array.from({ length: count }, () => startRun(t, `echo ready; ping -q -c 1 -W ${10 * SLOW} 10.77.0.1`)),
  );
  t.same(await Promise.all(runs.map(({ ended }) => ended)), Array(count).fill(0));
  t.equal(new Set(runs.map(({ netns }) => netns)).size, count, 'each has its own');
  t.ok(
    runs.every(({ output, netns }) => output().includes(' 0% packet loss') && isGone(netns)),
    'all pings came back, and nothing is left',
  );
});
