// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, about other containers: a user who is root in namespaces of his own. */
import t from 'tap';

import { controlSocket } from '../../src/state/store';
import { attachedIn, attachmentOf, cannotRun, SLOW } from '../helpers/cli';
import { listed } from '../helpers/controller';
import { quietNetns, run, type Result } from '../helpers/netns';
import { SOMEBODY } from '../helpers/trap';

t.setTimeout(120_000 * SLOW);

/** A command of a user who is root in a user namespace and a network namespace that he has made. */
const inContainer = (...command: readonly string[]): Result =>
  run(
    'setpriv',
    [
      '--reuid',
      String(SOMEBODY),
      '--regid',
      String(SOMEBODY),
      '--clear-groups',
      '--',
      'unshare',
      '--user',
      '--map-root-user',
      '--net',
      '--',
      ...command,
    ],
    { cwd: '/' },
  );

const CONNECT = `require('node:net').connect(process.argv[1], () => process.exit(0)).on('error', ({ code }) => (console.error(code), process.exit(1)))`;

t.test('K1: root of another container neither sees nor changes an attachment', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  const { id, pid } = attachmentOf(nic);
  const before = listed(nic.netns, nic.iface);
  t.ok(before);
  t.match(
    inContainer('sh', '-c', 'id -u; ip link set lo up'),
    { status: 0, stdout: '0\n' },
    'he is root there, and may change the network',
  );
  t.notMatch(inContainer('ip', '-o', 'link').stdout, /vnet|vb-|@/, 'no interface of ours is there');
  const denied = /EACCES|EPERM|Permission denied|not permitted/;
  for (const command of [
    [process.execPath, '-e', CONNECT, controlSocket(id)],
    ['cat', `/run/vnet-bpf/${id}/state.json`],
    ['cat', `/run/vnet-bpf/${id}/log`],
    ['ls', `/sys/fs/bpf/vnet-bpf/${id}`],
    ['nsenter', `--net=/run/netns/${nic.netns}`, 'true'],
    ['nsenter', '--net=/run/vnet-bpf/netns', 'true'],
    ['nsenter', '--target', String(pid), '--net', 'true'],
    ['kill', '-USR1', String(pid)],
    ['ls', `/proc/${pid}/fd`],
  ]) {
    const { status, stdout, stderr } = inContainer(...command);
    t.not(status, 0, command.join(' '));
    t.match(stderr, denied);
    t.equal(stdout, '');
  }
  t.same(listed(nic.netns, nic.iface), before, 'it is as it was');
});
