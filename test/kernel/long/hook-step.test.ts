// SPDX-License-Identifier: MIT
/** `vnet-bpf step`: the loop is paused while a user looks at a frame, however long, and nothing is lost. */
import { spawn } from 'node:child_process';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, checkAccounting, cli, cliOk, cliStart, SLOW, type Attached } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { checkReceived, startFlood } from '../../helpers/flood';
import { inside, okIn, quietNetns } from '../../helpers/netns';
import { withoutArp } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const HELD_MS = 10_000;

/** A debugger whose user is the test. */
class Session {
  output = '';
  readonly ended: Promise<number | null>;
  private readonly child;

  constructor(t: Test, nic: Attached) {
    this.child = cliStart(t, ['step', nic.iface, '--netns', nic.netns]);
    const { stdout, stderr } = this.child;
    for (const stream of [stdout, stderr]) stream?.on('data', (data: Buffer) => (this.output += data.toString()));
    this.ended = new Promise((resolve) => this.child.on('close', resolve));
  }

  /** Waits until the output matches, then discards it up to the match. */
  async says(what: RegExp): Promise<void> {
    if (!(await eventually(() => what.test(this.output), 10_000)))
      throw new Error(`it never said ${what}: ${this.output}`);
    this.output = this.output.slice(this.output.search(what));
  }

  type(...lines: string[]): void {
    for (const line of lines) this.child.stdin?.write(`${line}\n`);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

function ping(nic: Attached, count: number, patience = 60): { output: () => string; ended: Promise<void> } {
  const [nsenter, ...rest] = inside(nic.netns) as [string, ...string[]];
  const child = spawn(nsenter, [...rest, 'ping', '-c', String(count), '-i', '0.2', '-W', String(patience), ADDRESS]);
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  return { output: () => text, ended: new Promise((resolve) => child.on('close', () => resolve())) };
}

function quietNic(t: Test, args: readonly string[] = []): Attached {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, ...args]);
  withoutArp(nic, ADDRESS);
  return nic;
}

t.test('a debugger that is there before the first frame', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const session = new Session(t, nic);
  await session.says(/is paused/);
  const pinging = ping(nic, 3);
  // The ping itself: a looped address needs no neighbour discovery.
  await session.says(/frame 1\n.*\n.*10\.77\.0\.1 > 10\.77\.0\.1.*\n.*echo request/);
  session.type('resume');
  await pinging.ended;
  t.match(pinging.output(), /3 packets transmitted, 3 received/);
});

t.test(`a ping whose question is looked at for ${HELD_MS / 1000} s`, { skip: cannotRun }, async (t) => {
  const nic = quietNic(t);
  const session = new Session(t, nic);
  await session.says(/is paused/);
  const { output, ended } = ping(nic, 1);
  await session.says(/frame 1\n.*\n.*10\.77\.0\.1 > 10\.77\.0\.1.*\n.*echo request.*sequence 1/);
  await new Promise((resolve) => setTimeout(resolve, HELD_MS));
  session.type('pass');
  await session.says(/frame 2\n.*\n.*\n.*echo reply/);
  session.type('pass', 'resume');
  await session.says(/loops again/);
  t.equal(await session.ended, 0);
  await ended;
  t.match(output(), '1 received, 0% packet loss');
  const time = Number(/time=([\d.]+) ms/.exec(output())?.[1]);
  t.ok(time >= HELD_MS && time < HELD_MS + 5000 * SLOW, `it took ${time} ms`);
  checkAccounting(t, nic, await nic.atRest());
});

t.test('drop, edit, inject', { skip: cannotRun }, async (t) => {
  const nic = quietNic(t);
  const session = new Session(t, nic);
  await session.says(/is paused/);
  const { output, ended } = ping(nic, 2, 5);
  await session.says(/echo request.*sequence 1/);
  session.type('drop');
  await session.says(/echo request.*sequence 2/);
  session.type('edit 22 07'); // the time to live
  await session.says(/frame 2, edited\n.*\n.*ttl 7/);
  session.type('inject', 'pass');
  await session.says(/injected/);
  session.type('resume');
  t.equal(await session.ended, 0);
  await ended;
  t.match(output(), /icmp_seq=2 ttl=64/);
  t.match(output(), /2 packets transmitted, 1 received/);
  const stats = await nic.atRest();
  t.match(stats.hooks, { dropped: 1, injected: 1, errors: 0 });
  t.equal(cli(['stats', nic.iface, '--netns', nic.netns, '--check']).status, 0, 'the frame accounting balances');
});

t.test('the kernel holds the senders meanwhile', { skip: cannotRun }, async (t) => {
  const nic = quietNic(t, ['--ring-size', '256K']);
  const session = new Session(t, nic);
  await session.says(/is paused/);
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows: 3 });
  await session.says(/frame 1\n/);
  t.ok(await eventually(() => nic.stats().held.now > 0, 10_000), 'the ring is full, and frames wait behind it');
  session.type('pass 500');
  await session.says(/frame 501\n/);
  session.type('resume');
  t.equal(await session.ended, 0);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sent = await sender.stop();
  const after = await nic.atRest();
  checkReceived(t, await receiver.stop(), sent.sent);
  t.ok(sent.sent > 1000, `${sent.sent} sent`);
  checkAccounting(t, nic, after);
});

t.test('one at a time, and whoever goes away lets the loop go on', { skip: cannotRun }, async (t) => {
  const nic = quietNic(t);
  const first = new Session(t, nic);
  await first.says(/is paused/);
  const second = cli(['step', nic.iface, '--netns', nic.netns]);
  t.equal(second.status, 1);
  t.match(second.stderr, 'somebody is stepping through it already');
  const log = (): string => cliOk(['log', nic.iface, '--netns', nic.netns]);
  t.match(log(), /VNET: a debugger has paused the loop of vnet0\n$/);
  first.kill();
  await first.ended;
  t.ok(await eventually(() => /VNET: the debugger has ended: vnet0 loops again\n$/.test(log())), 'the log says both');
  t.match(okIn(nic.netns, 'ping', ['-c', '2', '-i', '0.2', '-W', String(5 * SLOW), ADDRESS]), ' 0% packet loss');
  checkAccounting(t, nic, await nic.atRest());
});

t.test('detach does not wait for the debugger', { skip: cannotRun }, async (t) => {
  const nic = quietNic(t);
  const session = new Session(t, nic);
  await session.says(/is paused/);
  t.equal(cli(['detach', nic.iface, '--netns', nic.netns]).status, 0);
  t.equal(await session.ended, 1);
});
