// SPDX-License-Identifier: MIT
/** A million numbered datagrams at a rate that the poller sustains: none lost, none out of order. */
import t from 'tap';

import { attachedIn, BACK_END, checkAccounting, SLOW } from '../helpers/cli';
import { kernelCounters, quietNetns } from '../helpers/netns';
import { cannotCarry } from '../helpers/supported';
import { scaled, udpRun, withoutArp } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

/** Datagrams per second; see docs for what the loop can do at most. */
const PACE = 100_000 / SLOW;

t.test('every datagram of two flows comes back, in order', { skip: cannotCarry() }, async (t) => {
  // Nothing but the datagrams on the interface, so that the counters are exact.
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24']);
  withoutArp(nic, '10.77.0.1');
  const before = nic.stats();
  const kernelBefore = kernelCounters(netns, nic.iface);

  const packets = scaled(1_000_000);
  const { sender, receiver } = await udpRun(t, netns, { to: '10.77.0.1', packets, bytes: 64, flows: 2, rate: PACE });
  const after = await nic.atRest();
  const kernelAfter = kernelCounters(netns, nic.iface);

  t.comment(
    `${sender.sent} sent in ${sender.seconds.toFixed(1)} s: ${Math.round(sender.sent / sender.seconds)} per second`,
  );
  t.equal(sender.sent, packets, 'all were sent');
  t.equal(receiver.received, packets, 'all were received');
  t.equal(after.tx.packets - before.tx.packets, packets, 'TX counts them');
  t.equal(after.rx.packets - before.rx.packets, packets, 'RX counts them');
  t.equal(kernelAfter.tx - kernelBefore.tx, packets, 'ip -s link: TX counts them');
  if (BACK_END === 'veth') t.equal(kernelAfter.rx - kernelBefore.rx, packets, 'ip -s link: RX counts them');
  t.equal(receiver.flows, 2, 'in two flows');
  t.equal(receiver.outOfOrder, 0, 'in order');
  t.equal(receiver.largestGap, 0, 'without a gap');
  t.equal(receiver.damaged, 0, 'with what was sent in them');
  t.equal(receiver.overflow, 0, 'the receiving socket had space');
  t.same(
    Object.values(after.refused).filter((count) => count > 0),
    [],
    'none was refused',
  );
  checkAccounting(t, nic, after);
});
