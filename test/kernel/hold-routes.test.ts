// SPDX-License-Identifier: MIT
/**
 * A datagram whose sender is blocked while its route changes is discarded by IPv6 (dst_discard_out). So the controller
 * leaves existing routes alone, whatever notifications it gets about its interface.
 */
import t from 'tap';

import { cannotRun, checkAccounting, SLOW } from '../helpers/cli';
import { ok } from '../helpers/netns';
import { slowNic } from '../helpers/slow-nic';
import { scaled, udpRun } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

t.test('blocked IPv6 senders lose nothing while the interface changes', { skip: cannotRun }, async (t) => {
  const nic = slowNic(t, { address: 'fd77::1', delayUs: 2_000, args: ['--ring-size', '256K'] });
  let changes = 0;
  // Each notifies the controller of a change of the link; none changes a route.
  const change = setInterval(
    () => ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', nic.iface, 'alias', `change ${++changes}`]),
    60,
  );
  t.teardown(() => clearInterval(change));
  const packets = scaled(40_000);
  const { sender, receiver } = await udpRun(
    t,
    nic.netns,
    { to: 'fd77::1', packets, bytes: 64, flows: 100 },
    3000 * SLOW,
  );
  clearInterval(change);
  const after = await nic.atRest();
  t.ok(changes > 5 && after.held.total > 0, `${changes} changes, ${after.held.total} frames held`);
  t.equal(sender.sent, packets, 'all were sent');
  t.equal(receiver.received, packets, 'all were received');
  checkAccounting(t, nic, after);
});
