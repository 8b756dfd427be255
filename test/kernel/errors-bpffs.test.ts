// SPDX-License-Identifier: MIT
/**
 * The BPF file system missing, read-only, hidden or open to others (docs/SECURITY.md): on a private machine, which has
 * its own.
 */
import t from 'tap';

import { cannotRun } from '../helpers/cli';
import { onOwnMachine } from '../helpers/machine';
import { checkRefusal } from '../helpers/refusal';
import { sameAs, snapshot } from '../helpers/snapshot';
import { SOMEBODY } from '../helpers/trap';

/** Tries to attach and compares the machine before and after; the last line is `same` if nothing changed. */
const attempt = (prepare: string): string => `
ip netns add a
${prepare}
look() { find /run /sys/fs -mindepth 1 -maxdepth 3 ! -path '/run/mount*' ! -name before ! -name after | sort; cat /proc/mounts; ip -n a -o link; }
look >/run/before
status=0
vnet_bpf attach vnet0 --netns a --daemon || status=$?
look >/run/after
diff /run/before /run/after || true
exit $status
`;

t.test('read-only', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  const result = onOwnMachine(attempt('mount -o remount,ro /sys/fs/bpf'));
  checkRefusal(t, result, { args: [], status: 1, says: /\/sys\/fs\/bpf.*read-only/, hints: /remount,rw/ }, 'attach');
  await sameAs(t, before, 'nothing has changed around');
});

t.test('read-only by the time of a detach', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    vnet_bpf attach vnet0 --netns a --daemon >/dev/null
    mount -o remount,ro /sys/fs/bpf
    vnet_bpf detach vnet0 --netns a && exit 1
    ip -n a -o link show vnet0 2>/dev/null && exit 2
    mount -o remount,rw /sys/fs/bpf
    vnet_bpf detach vnet0 --netns a
    ls /sys/fs/bpf | grep vnet || true
  `);
  t.equal(status, 0, 'the interface goes; a second detach, once it is writable, removes the pins');
  t.match(stderr, /^vnet-bpf: .*\/sys\/fs\/bpf.*read-only.*\nhint: .*remount,rw.*\n$/, 'one line and a hint');
  t.equal(stdout, 'vnet0 detached\n', 'and nothing else');
});

t.test('another file system in its place', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  // Mounting over it does work: attach needs a BPF file system, and then there is one.
  const { status, stdout, stderr } = onOwnMachine(`
    umount /sys/fs/bpf
    mount -t tmpfs tmpfs /sys/fs/bpf
    ip netns add a
    vnet_bpf attach vnet0 --netns a --daemon >/dev/null
    test -d /sys/fs/bpf/vnet-bpf
    awk '$2 == "/sys/fs/bpf" { type = $3 } END { print type }' /proc/mounts
    stat -c %a /sys/fs/bpf
    vnet_bpf detach vnet0 --netns a
  `);
  t.equal(status, 0, stderr);
  t.same(
    stdout.trim().split('\n'),
    ['bpf', '1700', 'vnet0 detached'],
    'a BPF file system is mounted, for root alone, and used',
  );
  await sameAs(t, before, 'nothing has changed around');
});

t.test('R9: a name in it that another user has taken', { skip: cannotRun }, async (t) => {
  for (const [what, take] of [
    ['a directory', 'mkdir -p /sys/fs/bpf/vnet-bpf/full'],
    ['a link', 'ln -s /run/theirs /sys/fs/bpf/vnet-bpf'],
  ] as const) {
    const { status, stdout, stderr } = onOwnMachine(`
      chmod 1777 /sys/fs/bpf
      setpriv --reuid=${SOMEBODY} --regid=${SOMEBODY} --clear-groups sh -c '${take}'
      ip netns add a
      vnet_bpf attach vnet0 --netns a --daemon >/dev/null
      stat -c '%U %a %F' /sys/fs/bpf/vnet-bpf
      stat -c '%u' /sys/fs/bpf/vnet-bpf-of-user-*
      vnet_bpf detach vnet0 --netns a
    `);
    t.equal(status, 0, `${what}: ${stderr}`);
    t.same(
      stdout.trim().split('\n'),
      ['root 700 directory', String(SOMEBODY), 'vnet0 detached'],
      `${what} is in nobody's way, and stays his`,
    );
  }
});

t.test('R9: a name in it that another user takes again and again', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    chmod 1777 /sys/fs/bpf
    pids=''
    for i in 1 2 3; do
      setpriv --reuid=${SOMEBODY} --regid=${SOMEBODY} --clear-groups sh -c '
        while :; do mkdir /sys/fs/bpf/vnet-bpf; done' 2>/dev/null & pids="$pids $!"
    done
    ip netns add a
    for round in 1 2 3; do
      vnet_bpf attach vnet0 --netns a --daemon >/dev/null
      stat -c '%U %a %F' /sys/fs/bpf/vnet-bpf
      vnet_bpf detach vnet0 --netns a
    done
    kill $pids; wait $pids || true
  `);
  t.equal(status, 0, stderr);
  t.same(stdout.trim().split('\n'), Array(3).fill(['root 700 directory', 'vnet0 detached']).flat());
});

t.test('missing and not to be mounted', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  // Without the directory there is nothing to mount it on.
  const result = onOwnMachine(attempt('mount -t tmpfs tmpfs /sys/fs'));
  checkRefusal(
    t,
    result,
    { args: [], status: 1, says: /\/sys\/fs\/bpf.*not mounted/, hints: /mount -t bpf/ },
    'attach',
  );
  await sameAs(t, before, 'nothing has changed around');
});

t.test('hidden by the mount namespace of ip netns exec', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    ip netns exec a "$NODE" "$MAIN" attach vnet0 --daemon >/dev/null
    ls /sys/fs/bpf
    vnet_bpf list --json | grep -o '"netns": "a"'
    ip netns exec a "$NODE" "$MAIN" detach vnet0
    ls /sys/fs/bpf
  `);
  t.equal(status, 0, stderr);
  const lines = stdout
    .trim()
    .split('\n')
    .filter((line) => !line.endsWith('.debug'));
  t.same(lines, ['vnet-bpf', '"netns": "a"', 'vnet0 detached'], 'pins and state are where the whole machine sees them');
  await sameAs(t, before, 'nothing has changed around');
});
