// SPDX-License-Identifier: MIT
/** The main job in one test: attach, ping through the loop, detach. */
import t from 'tap';

import { attached, cannotRun, checkAccounting } from '../helpers/cli';
import { kernelCounters, okIn } from '../helpers/netns';

t.test('ping of its own addresses crosses the loop', { skip: cannotRun }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  for (const address of ['10.77.0.1', 'fd77::1']) {
    const before = kernelCounters(nic.netns, nic.iface);
    const output = okIn(nic.netns, 'ping', ['-c', '4', '-i', '0.2', address]);
    t.match(output, /4 received, 0% packet loss/, `${address}: 4 of 4`);
    const after = kernelCounters(nic.netns, nic.iface);
    t.ok(after.tx - before.tx >= 8 && after.rx - before.rx >= 8, `${address}: requests and replies went through vnet0`);
  }
  checkAccounting(t, nic, await nic.atRest());
});
