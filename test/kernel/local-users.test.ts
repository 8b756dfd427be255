// SPDX-License-Identifier: MIT
/** What a user without any capability can do about the files of the machine does not make root's next command fail. */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { onOwnMachine } from '../helpers/machine';
import { SOMEBODY } from '../helpers/trap';

t.setTimeout(120_000 * SLOW);

t.test('a lock on the directory of network namespaces', { skip: cannotRun }, async (t) => {
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
