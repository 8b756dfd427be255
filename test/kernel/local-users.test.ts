// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, about what a user without any capability can do with directories of the machine. */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { onOwnMachine } from '../helpers/machine';
import { SOMEBODY } from '../helpers/trap';

t.setTimeout(120_000 * SLOW);

t.test('R9: a lock on the directory of network namespaces', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    setpriv --reuid=${SOMEBODY} --regid=${SOMEBODY} --clear-groups flock /run/netns sh -c 'echo locked; exec sleep 1000' >/run/said &
    until grep -q locked /run/said; do sleep 0.05; done
    timeout -s KILL ${30 * SLOW} "$NODE" "$MAIN" run --stats /dev/null -- sh -c 'ip netns identify $$ | cut -c 1-9'
    ip netns list
    mounts() { grep -c ' /run/netns' /proc/self/mountinfo; }
    before=$(mounts)
    "$NODE" "$MAIN" run --stats /dev/null -- true
    echo $(($(mounts) - before))
  `);
  t.equal(status, 0, stderr);
  t.same(stdout.trim().split('\n'), ['vnet-run-', '0'], 'run does not wait for it, and leaves no namespace');
});

t.test('R9: a current directory that is gone', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    mkdir /run/gone
    cd /run/gone
    rmdir /run/gone
    ip link set dev lo up
    ip netns add a
    vnet_bpf attach vnet0 --netns a --daemon >/dev/null
    vnet_bpf list --json | grep -o '"netns": "a"'
    vnet_bpf stats vnet0 --netns a >/dev/null
    vnet_bpf log vnet0 --netns a >/dev/null
    for refused in "hook vnet0 --netns a hook.js" "record vnet0 --netns a -w file --count 1"; do
      vnet_bpf $refused 2>&1 && echo "$refused"
    done
    ls / | grep -cE '^(file|hook)' || true
    vnet_bpf detach vnet0 --netns a
    vnet_bpf run --stats /dev/null -- echo ran
  `);
  t.equal(status, 0, stderr);
  const lines = stdout
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('hint: '));
  t.match(
    lines[1],
    /^vnet-bpf: file hook\.js: the working directory has been removed$/,
    'a file that is named from there is not found',
  );
  t.match(lines[2], /^vnet-bpf: file file: the working directory has been removed$/, 'nor made');
  t.same([lines[0], ...lines.slice(3)], ['"netns": "a"', '0', 'vnet0 detached', 'ran'], 'all else works');
});
