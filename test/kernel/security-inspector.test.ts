// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, R5: SIGUSR1 never opens Node's inspector, at any time of a process's life. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, SLOW } from '../helpers/cli';
import { controllerPid, eventually, lives } from '../helpers/controller';
import { hookFile } from '../helpers/hook-file';
import { portsOf } from '../helpers/listening';
import { quietNetns } from '../helpers/netns';
import { startRun } from '../helpers/run-command';
import { PLAIN } from '../helpers/trap';

t.setTimeout(300_000 * SLOW);

/** Longer than Node takes to listen, and than the product takes to check. */
const REST_MS = 700 * SLOW;
/** The time after which the product no longer checks whether the inspector is open. */
const LAST_LOOK_MS = 3500 * SLOW;

function start(t: Test, args: readonly string[], stderr: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
  const [program, ...plain] = PLAIN;
  const child = spawn(program, [...plain, ...args], { stdio: ['ignore', 'ignore', stderr] });
  t.teardown(() => child.exitCode === null && child.kill('SIGTERM'));
  return child;
}

async function signalled(pid: number, times = 3): Promise<number[]> {
  for (let i = 0; i < times; i++) {
    process.kill(pid, 'SIGUSR1');
    await delay(20);
  }
  await delay(REST_MS);
  return portsOf(pid);
}

t.test('R5: a daemon, with a hook and without', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns, ['--hook', hookFile(t, 'h.ts', `export default (): 'pass' => 'pass';`)]);
  attachedIn(t, netns, [], 'vnet1', { NODE_OPTIONS: '--inspect=127.0.0.1:0' });
  for (const iface of ['vnet0', 'vnet1']) {
    const pid = controllerPid(netns, iface);
    t.same(await signalled(pid), [], `${iface}: nothing listens`);
    t.ok(lives(pid), 'and it goes on');
  }
});

t.test('R5: a controller in the foreground, and a run', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const foreground = start(t, ['attach', 'vnet0', '--netns', netns]);
  t.ok(await eventually(() => fs.existsSync(`/proc/${foreground.pid}/fd`) && hasVnet(netns)));
  t.same(await signalled(foreground.pid as number), []);
  t.ok(lives(foreground.pid as number));
  const { child } = await startRun(t, `trap '' USR1; echo ready; sleep 5`);
  t.same(await signalled(child.pid as number), []);
  t.ok(lives(child.pid as number));
});

t.test('R5: a daemon that is just starting', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  // A signal each millisecond to each process of the command, from its first on.
  const command = start(t, ['attach', 'vnet0', '--netns', netns, '--daemon'], 'pipe');
  let messages = '';
  command.stderr?.on('data', (data: Buffer) => (messages += data.toString()));
  const ended = new Promise((resolve) => command.once('exit', resolve));
  let daemon = 0;
  for (let listens = false; command.exitCode === null && !listens; await delay(1)) {
    daemon ||= childOf(command.pid as number);
    // Between fork and exec a process has the handlers of its parent, which exec resets.
    if (daemon !== 0 && commandLine(daemon) !== commandLine(command.pid as number) && handlesSignal(daemon))
      process.kill(daemon, 'SIGUSR1');
    if (daemon !== 0) listens = portsOf(daemon).length > 0;
    if (listens) t.fail('it listens');
  }
  await ended;
  t.equal(command.exitCode, 0, `exit code 0 ${messages}`);
  t.ok(daemon > 0 && lives(daemon), 'it was hit, and lives');
  await delay(REST_MS);
  t.same(portsOf(daemon), []);
  process.kill(daemon, 'SIGTERM');
  t.ok(await eventually(() => !lives(daemon)));
});

t.test('R5: what a signal opened before the first line is closed again', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const child = start(t, ['attach', 'vnet0', '--netns', netns]);
  const pid = child.pid as number;
  // Node's own handler is installed; ours may not be yet, if the signal is fast enough.
  while (!handlesSignal(pid) && child.exitCode === null) await delay(0);
  process.kill(pid, 'SIGUSR1');
  t.ok(await eventually(() => hasVnet(netns)));
  await delay(LAST_LOOK_MS);
  t.same(portsOf(pid), []);
  t.ok(lives(pid));
});

const hasVnet = (netns: string): boolean => {
  try {
    return controllerPid(netns, 'vnet0') > 0;
  } catch {
    return false;
  }
};

/** The first child of a process; 0 if there is none. */
function childOf(pid: number): number {
  try {
    return Number(
      fs
        .readFileSync(path.join('/proc', String(pid), 'task', String(pid), 'children'), 'utf8')
        .trim()
        .split(' ')[0],
    );
  } catch {
    return 0;
  }
}

function commandLine(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** Whether SIGUSR1 is caught: before, it ends any process. */
function handlesSignal(pid: number): boolean {
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    return ((BigInt(`0x${caught}`) >> 9n) & 1n) === 1n;
  } catch {
    return false;
  }
}
