// SPDX-License-Identifier: MIT
/**
 * Everything that the loop promises on a dummy: one of the user's, with other people's programs before and behind
 * ours. traffic-*.test.ts have the traffic in breadth.
 */
import t, { type Test } from 'tap';

import { passesUdpGso } from '../../src/kernel-features';
import { allTraffic } from '../helpers/all-traffic';
import { attachedIn, attachmentOf, SLOW } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { ADDRESSES, ARGUMENTS, checkGone, checkRest, look, refusals, refuses } from '../helpers/loop';
import { ok, testNetns } from '../helpers/netns';
import { OtherProgram } from '../helpers/others';
import { checkStay, CLSACT, LOOP, together } from '../helpers/others-together';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(180_000 * SLOW);

/** Down: once up, it says hello in IPv6, which its counter would count before we do. */
function existingDummy(t: Test): { netns: string; iface: string } {
  const netns = testNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
  return { netns, iface: 'd0' };
}

t.test('dummy, attached through tcx', { skip: without('tcx') || withoutDummy() }, async (t) => {
  const { netns, iface } = existingDummy(t);
  const before = OtherProgram.tcx(t, netns, iface);
  const nic = attachedIn(t, netns, LOOP, iface);
  t.equal(attachmentOf(nic).attach, 'tcx');
  const others = { 'the program before ours': before, 'the program behind ours': OtherProgram.tcx(t, netns, iface) };
  await together(t, nic, others, {});
  checkGone(t, nic);
  checkStay(t, netns, iface, others);
});

t.test('dummy, attached through clsact', { skip: cannotLoop() || withoutDummy() }, async (t) => {
  const { netns, iface } = existingDummy(t);
  const tc = (object: string, ...args: string[]): string => ok('tc', ['-n', netns, object, ...args]);
  const filters = (): number => tc('filter', 'show', 'dev', iface, 'egress').match(/direct-action/g)?.length ?? 0;
  tc('qdisc', 'add', 'dev', iface, 'clsact');
  const behind = OtherProgram.filter(t, netns, iface, 'behind');
  const nic = attachedIn(t, netns, ARGUMENTS, iface, CLSACT);
  t.equal(attachmentOf(nic).attach, 'clsact');
  const others = { 'the filter before ours': OtherProgram.filter(t, netns, iface, 'before'), 'the filter behind ours': behind };
  t.equal(filters(), 3, 'ours is one of three');
  await allTraffic(t, nic);
  // TCP may send more at once than the ring has place for; it is told, and sends it again.
  t.same(refusals(await checkRest(t, nic)).filter(([why]) => why !== 'full'), [], 'nothing was refused but what TCP sent again');
  await together(t, nic, others, CLSACT);
  const udp = new OwnUdp(t, netns, ADDRESSES[0], 200);
  await refuses(t, nic, udp);
  if (!passesUdpGso()) {
    udp.sendSuperpacket(40);
    t.equal(look(nic).refused.gso, 1, 'a superpacket of UDP is refused, and counted');
  }
  checkGone(t, nic);
  t.equal(filters(), 2, 'ours is gone');
  t.match(tc('qdisc', 'show', 'dev', iface), /clsact/, 'the qdisc that the others hang on is there');
  checkStay(t, netns, iface, others);
});
