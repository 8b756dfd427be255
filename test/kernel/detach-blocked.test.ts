// SPDX-License-Identifier: MIT
/**
 * Senders are blocked, with their frames in the waiting room or in a qdisc of the user's, when the interface is
 * removed: it goes at once, nothing is left, and the senders continue. A sender over AF_PACKET holds the interface
 * while it is blocked, so removing the interface first would wait forever.
 */
import t, { type Test } from 'tap';

import { allAttachments } from '../../src/state/store';
import { isBlocked, startBlockingSender, type SenderEnd, type SenderKind } from '../helpers/blocking-sender';
import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { controllerPid, eventually, lives } from '../helpers/controller';
import { ok, quietNetns, run } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';
import type { ToolProcess } from '../helpers/tool-process';
import { withoutArp } from '../helpers/traffic';

t.setTimeout(240_000 * SLOW);

const ADDRESS = '10.77.0.1';
/** A poller that delivers so little that the ring stays full. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '300000' };
const SMALL = ['--ring-size', '256K', '--addr', `${ADDRESS}/24`];
/** The longest time for a detach. After 10 s the kernel complains about an interface that is still in use. */
const SOON_MS = 4000;

type Sender = ToolProcess<SenderEnd>;

/** Where a sender's buffer is used up by frames on their way. */
const HOLDS = /sock_alloc_send_pskb/;

async function blocked(t: Test, nic: Attached, kinds: readonly SenderKind[]): Promise<Sender[]> {
  withoutArp(nic, ADDRESS);
  const { ifindex } = attachmentOf(nic);
  const senders: Sender[] = [];
  for (const kind of kinds) senders.push(await startBlockingSender(t, nic.netns, kind, { ifindex, address: ADDRESS }));
  return senders;
}

/** Runs `body`, and asserts that it ends within the time allowed. */
function timed(t: Test, what: string, body: () => void): void {
  const start = performance.now();
  body();
  const ms = performance.now() - start;
  t.ok(ms < SOON_MS * SLOW, `${what} takes ${ms.toFixed(0)} ms`);
}

/**
 * Asserts that no sender waits for frames on the interface. TCP keeps retrying, as it does on any interface that is
 * removed.
 */
async function checkGone(t: Test, netns: string, senders: readonly Sender[]): Promise<void> {
  t.notMatch(ok('ip', ['-n', netns, '-o', 'link']), /vnet0/, 'the interface is gone');
  t.ok(
    await eventually(() => senders.every(({ pid }) => !lives(pid) || !isBlocked(pid, HOLDS))),
    'no sender is blocked in the kernel any more',
  );
  for (const { pid } of senders) if (lives(pid)) process.kill(pid, 'SIGKILL');
}

const detach = (t: Test, netns: string): void =>
  timed(t, 'detach', () =>
    t.match(cli(['detach', 'vnet0', '--netns', netns]), { status: 0, stderr: '' }, 'detach works'),
  );

interface Case {
  name: string;
  args?: readonly string[];
  senders?: readonly SenderKind[];
  /** Before the senders start. */
  prepare?: (nic: Attached) => void;
  /** Once they are blocked. */
  act?: (t: Test, nic: Attached) => void | Promise<void>;
  then: (t: Test, netns: string) => void | Promise<void>;
}

const kill =
  (signal: NodeJS.Signals) =>
  async (t: Test, { netns }: Attached): Promise<void> => {
    const pid = controllerPid(netns, 'vnet0');
    process.kill(pid, signal);
    if (signal === 'SIGKILL') t.ok(await eventually(() => !lives(pid)), 'the controller is dead');
  };

const tc = (netns: string, ...args: string[]): string =>
  ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', 'vnet0', 'root', ...args]);

/** Like `then`, for commands that remove the interface, after which the controller ends by itself. */
const taken =
  (...ip: string[]) =>
  async (t: Test, netns: string): Promise<void> => {
    const pid = controllerPid(netns, 'vnet0');
    timed(t, `ip ${ip.join(' ')}`, () => ok('timeout', ['-s', 'KILL', '30', 'ip', '-n', netns, ...ip]));
    t.ok(await eventually(() => !lives(pid)), 'the controller ends by itself');
  };

const CASES: Case[] = [
  {
    name: 'by detach, with two senders by AF_PACKET beside UDP and TCP',
    senders: ['packet', 'packet', 'udp', 'tcp'],
    then: detach,
  },
  { name: 'with two queues', args: ['--queues', '2'], then: detach },
  { name: 'after a crash', act: kill('SIGKILL'), then: detach },
  {
    name: 'by detach --all, after a crash',
    act: kill('SIGKILL'),
    then: (t) => timed(t, 'detach --all', () => cliOk(['detach', '--all'])),
  },
  {
    name: 'with a tbf of the user on it, which holds some',
    prepare: ({ netns }) => tc(netns, 'tbf', 'rate', '8kbit', 'burst', '2k', 'limit', '10m'),
    then: detach,
  },
  {
    name: 'by attach --replace',
    then: (t, netns) => {
      timed(t, 'attach --replace', () =>
        cliOk(['attach', 'vnet0', '--netns', netns, '--daemon', '--replace', ...SMALL]),
      );
      detach(t, netns);
    },
  },
  { name: 'by ip link del', then: taken('link', 'del', 'vnet0') },
  { name: 'by a move to another namespace', then: taken('link', 'set', 'vnet0', 'netns', '1') },
];

for (const {
  name,
  args = [],
  senders: kinds = ['packet', 'udp'] as readonly SenderKind[],
  prepare,
  act,
  then,
} of CASES) {
  t.test(`an interface goes while a sender is blocked: ${name}`, { skip: cannotRun }, async (t) => {
    const netns = quietNetns(t);
    const before = snapshot(netns);
    const nic = attachedIn(t, netns, [...SMALL, ...args], 'vnet0', SLOW_POLLER);
    prepare?.(nic);
    const senders = await blocked(t, nic, kinds);
    await act?.(t, nic);
    await then(t, netns);
    await checkGone(t, netns, senders);
    await sameAs(t, before, 'nothing is left', netns);
  });
}

t.test('a controller that is stopped is killed, and its interface removed', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const before = snapshot(netns);
  const nic = attachedIn(t, netns, SMALL, 'vnet0', SLOW_POLLER);
  const senders = await blocked(t, nic, ['packet']);
  process.kill(controllerPid(netns, 'vnet0'), 'SIGSTOP');
  t.match(cli(['detach', 'vnet0', '--netns', netns]), { status: 0, stderr: '' }, 'detach works');
  await checkGone(t, netns, senders);
  await sameAs(t, before, 'nothing is left', netns);
});

t.test(
  'its namespace is deleted while a sender in it is blocked, after a crash: detach finds what is left',
  { skip: cannotRun },
  async (t) => {
    const netns = quietNetns(t);
    const nic = attachedIn(t, netns, SMALL, 'vnet0', SLOW_POLLER);
    const { id } = attachmentOf(nic);
    const [sender] = await blocked(t, nic, ['packet']);
    await kill('SIGKILL')(t, nic);
    ok('ip', ['netns', 'del', netns]);
    t.ok(sender && isBlocked(sender.pid), 'the sender keeps the namespace, and is blocked');
    detach(t, netns);
    t.ok(await eventually(() => !sender || !lives(sender.pid)), 'the sender has ended');
    t.same(
      allAttachments().filter((each) => each.id === id),
      [],
      'nothing is left',
    );
  },
);

t.test(
  'somebody else holds the interface for ever: detach says so, has removed all that is ours, and the lock is free',
  { skip: cannotRun },
  async (t) => {
    const netns = quietNetns(t);
    const before = snapshot(netns);
    const nic = attachedIn(t, netns, SMALL);
    // A sender's buffer is used up by frames on another interface, where nothing ends the wait.
    ok('ip', ['-n', netns, 'link', 'add', 'stuck', 'type', 'veth', 'peer', 'name', 'far']);
    for (const end of ['stuck', 'far']) ok('ip', ['-n', netns, 'link', 'set', end, 'up']);
    ok('tc', [
      '-n',
      netns,
      'qdisc',
      'add',
      'dev',
      'stuck',
      'root',
      'tbf',
      'rate',
      '8kbit',
      'burst',
      '2k',
      'limit',
      '100m',
    ]);
    const [stuck] = JSON.parse(ok('ip', ['-n', netns, '-json', 'link', 'show', 'dev', 'stuck'])) as [
      { ifindex: number },
    ];
    const sender = await startBlockingSender(t, netns, 'packet', {
      ifindex: stuck.ifindex,
      address: ADDRESS,
      then: attachmentOf(nic).ifindex,
    });
    const { status, stderr } = cli(['detach', 'vnet0', '--netns', netns]);
    t.equal(status, 1, 'detach fails');
    t.match(
      stderr,
      /^vnet-bpf: interface vnet0: is gone, but the kernel waits for a process [^\n]*\nhint: grep -l packet_snd [^\n]*\n$/,
      'in one line, with a hint',
    );
    const start = performance.now();
    t.equal(run('ip', ['netns', 'add', `${netns}x`]).status, 0);
    t.teardown(() => run('ip', ['netns', 'del', `${netns}x`]));
    attachedIn(t, `${netns}x`, []);
    t.ok(performance.now() - start < SOON_MS * SLOW, 'others attach meanwhile');
    cliOk(['detach', 'vnet0', '--netns', `${netns}x`]);
    process.kill(sender.pid, 'SIGKILL');
    ok('ip', ['-n', netns, 'link', 'del', 'stuck']);
    await sameAs(t, before, 'nothing is left', netns);
  },
);
