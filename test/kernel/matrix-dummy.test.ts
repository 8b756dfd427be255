// SPDX-License-Identifier: MIT
/**
 * Everything that the loop promises on a dummy of the user, with other people's programs before and after ours.
 * traffic-*.test.ts test more kinds of traffic.
 */
import t, { type Test } from 'tap';

import { passesUdpGso } from '../../src/requirements';
import { allTraffic } from '../helpers/all-traffic';
import { attachedIn, attachmentOf, SLOW } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { ADDRESSES, ARGUMENTS, checkGone, checkRest, look, refusals, refuses } from '../helpers/loop';
import { ok, testNetns } from '../helpers/netns';
import { OtherProgram } from '../helpers/others';
import { checkStay, together } from '../helpers/others-together';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

/** The interface is down: once up, it sends IPv6 packets, which its counter would count before we do. */
function existingDummy(t: Test): { netns: string; iface: string } {
  const netns = testNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
  return { netns, iface: 'd0' };
}

t.test('dummy', { skip: cannotLoop() || withoutDummy() }, async (t) => {
  const { netns, iface } = existingDummy(t);
  const tcx = !without('tcx');
  const filters = (): number =>
    ok('tc', ['-n', netns, 'filter', 'show', 'dev', iface, 'egress']).match(/direct-action/g)?.length ?? 0;
  const other = (where: 'before' | 'behind'): OtherProgram =>
    tcx ? OtherProgram.tcx(t, netns, iface) : OtherProgram.filter(t, netns, iface, where);
  if (!tcx) ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', iface, 'clsact']);
  const before = other('before');
  const nic = attachedIn(t, netns, ARGUMENTS, iface);
  t.equal(attachmentOf(nic).attach, tcx ? 'tcx' : 'clsact', 'attached as the kernel can do it best');
  const others = { 'the program before ours': before, 'the program behind ours': other('behind') };

  await allTraffic(t, nic);
  // TCP may send more at once than the ring has space for; it gets an error, and sends that again.
  t.same(
    refusals(await checkRest(t, nic)).filter(([why]) => why !== 'full'),
    [],
    'nothing was refused but what TCP sent again',
  );
  await together(t, nic, others, {});
  const udp = new OwnUdp(t, netns, ADDRESSES[0], 200);
  await refuses(t, nic, udp);
  if (!passesUdpGso()) {
    udp.sendSuperpacket(40);
    t.equal(look(nic).refused.gso, 1, 'a superpacket of UDP is refused, and counted');
  }

  checkGone(t, nic);
  if (!tcx) {
    t.equal(filters(), 2, 'of three filters ours is gone');
    t.match(
      ok('tc', ['-n', netns, 'qdisc', 'show', 'dev', iface]),
      /clsact/,
      'the qdisc that the others hang on is there',
    );
  }
  checkStay(t, netns, iface, others);
});
