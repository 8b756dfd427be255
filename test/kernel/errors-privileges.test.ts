// SPDX-License-Identifier: MIT
/** Without root, with a root that lacks capabilities (R1 of docs/SECURITY.md), or without /proc. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, attachmentOf, cannotRun, cli, MAIN } from '../helpers/cli';
import { run, testNetns, type Result } from '../helpers/netns';
import { refused, type Refusal } from '../helpers/refusal';
import { sameAs, snapshot } from '../helpers/snapshot';
import { withoutTools } from '../helpers/traffic';
import { PLAIN } from '../helpers/trap';

const NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];
const lacking = (capability: string): string[] => ['setpriv', '--bounding-set', `-${capability}`, '--'];

/** Other users must be able to reach the program: a checkout may be in root's home directory. */
function openToAll(file: string): boolean {
  const may = (name: string, mode: number): boolean => (fs.statSync(name).mode & mode) === mode;
  const above = (name: string): boolean =>
    name === '/' || (may(path.dirname(name), 0o001) && above(path.dirname(name)));
  return may(file, 0o004) && above(file);
}

t.test('R1: not root', { skip: cannotRun || withoutTools('setpriv') }, async (t) => {
  const before = snapshot();
  const says = /root/;
  const commands = [
    ['attach', 'vnet0'],
    ['attach', 'vnet0', '--daemon'],
    ['detach', 'vnet0'],
    ['detach', '--all'],
    ['list', '--json'],
    ['stats'],
    ['log'],
  ];
  if (!openToAll(MAIN)) t.comment('nobody but root can read the checkout: only root without capabilities is tested');
  else {
    await refused(
      t,
      commands.map((args): Refusal => ({ args, status: 1, says, hints: /sudo/, through: NOBODY })),
    );
    await refused(t, [{ args: ['attach', 'a/b'], status: 2, says: /"a\/b"/, through: NOBODY }]);
  }
  await sameAs(t, before, 'nothing has changed');
});

t.test('R1: root without a capability', { skip: cannotRun || withoutTools('setpriv') }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const attach = ['attach', 'vnet0', '--netns', netns];
  const needed: [string, RegExp][] = [
    ['net_admin', /CAP_NET_ADMIN/],
    ['net_raw', /CAP_NET_RAW/],
    ['sys_admin', /CAP_SYS_ADMIN/],
    ['bpf', /CAP_BPF/],
    ['perfmon', /CAP_PERFMON/],
  ];
  await refused(
    t,
    needed.map(([name, says]): Refusal => ({ args: attach, status: 1, says, hints: says, through: lacking(name) })),
  );
  await refused(t, [
    {
      args: ['detach', '--all'],
      status: 1,
      says: /CAP_NET_ADMIN, CAP_NET_RAW/,
      through: lacking('net_admin,-net_raw'),
    },
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});

t.test('without /proc, one line says how to mount it', { skip: cannotRun || withoutTools('script') }, async (t) => {
  const through = ['unshare', '-m', 'sh', '-c', 'while umount -l /proc; do :; done 2>/dev/null; exec "$@"', 'sh'];
  const commands = [
    ['attach', 'vnet0', '--daemon'],
    ['run', '--', 'true'],
    ['list', '--json'],
  ];
  await refused(
    t,
    commands.map((args): Refusal => ({
      args,
      status: 1,
      says: /\/proc: is not mounted/,
      hints: /mount -t proc proc \/proc/,
      through,
    })),
  );
  const [program = '', ...rest] = [...through, ...PLAIN];
  const doctor = run(program, [...rest, 'doctor', '--json']);
  t.equal(doctor.status, 1);
  t.match(JSON.parse(doctor.stdout), { ok: false, checks: [{ name: '/proc', status: 'fail' }] });
  const onTerminal = run(program, [
    ...through.slice(1),
    'script',
    '-qec',
    [...PLAIN, 'nonsense'].join(' '),
    '/dev/null',
  ]);
  t.match(onTerminal.stdout, /^[^\n]*nonsense: is not a command\r\n[^\n]*hint:[^\n]*\r\n$/, 'on a terminal, too');
  t.equal(onTerminal.status, 2);
});

t.test('root of a user namespace', { skip: cannotRun }, async (t) => {
  const through = ['unshare', '--user', '--map-root-user', '--'];
  await refused(
    t,
    [['attach', 'vnet0'], ['attach', 'vnet0', '--daemon'], ['stats', 'vnet0'], ['list']].map((args): Refusal => ({
      args,
      status: 1,
      says: /root of a user namespace only/,
      hints: /on the host/,
      through,
    })),
  );
});

t.test('counters where process 1 is out of sight', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns);
  const { pid } = attachmentOf(nic);
  /** In a mount namespace with a /sys of its own, as ip netns exec makes it. */
  const within = (hidden: readonly number[], ...args: readonly string[]): Result =>
    run('ip', [
      'netns',
      'exec',
      netns,
      'sh',
      '-c',
      `${hidden.map((each) => `mount -t tmpfs none /proc/${each} && `).join('')}exec "$@"`,
      'sh',
      'env',
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      MAIN,
      ...args,
    ]);
  t.match(
    within([1], 'stats', 'vnet0', '--json', '--check'),
    { status: 0, stdout: /"interface": "vnet0"/, stderr: '' },
    'they are seen as the controller sees them',
  );
  const { status, stdout, stderr } = within([1, pid], 'stats', 'vnet0', '--netns', netns);
  t.equal(status, 1);
  t.equal(stdout, '');
  t.match(stderr, /^vnet-bpf: stats of vnet0: its counters are out of sight: .*process 1/);
  t.match(stderr, new RegExp(`\nhint: run outside .*: vnet-bpf stats vnet0 --netns ${netns}\n$`));
  t.notMatch(stderr, /half-made|detach/, 'nothing is said against an interface that is well');
});

t.test('without ip nothing is made, and nothing half removed', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const HIDE =
    'for file in /usr/sbin/ip /usr/bin/ip /sbin/ip /bin/ip; do mount --bind /dev/null $file; done; exec "$@"';
  const through = ['unshare', '--mount', '--', 'sh', '-c', HIDE, 'sh'];
  const says = /^vnet-bpf: ip/;
  const before = snapshot(netns);
  await refused(t, [{ args: ['attach', 'vnet0', '--netns', netns], status: 1, says, through }]);
  await sameAs(t, before, 'nothing has changed', netns);
  const nic = attachedIn(t, netns, []);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  await refused(t, [{ args: ['detach', nic.iface, '--netns', netns], status: 1, says, through }]);
  t.equal(cli(['detach', nic.iface, '--netns', netns]).status, 0, 'with it the rest is removed');
  await sameAs(t, before, 'nothing is left', netns);
});
