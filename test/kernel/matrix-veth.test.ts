// SPDX-License-Identifier: MIT
/** Everything that the loop promises on a veth, once. */
import t from 'tap';

import { merges } from '../../src/datapath/programs';
import { allTraffic } from '../helpers/all-traffic';
import { attachedIn, attachmentOf, SLOW } from '../helpers/cli';
import {
  ADDRESSES,
  ARGUMENTS,
  checkGone,
  checkRest,
  crash,
  holds,
  look,
  refusals,
  refuses,
  WAIT_MS,
} from '../helpers/loop';
import { ok, quietNetns, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

t.test('veth that holds', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ARGUMENTS);
  t.equal(attachmentOf(nic).attach, without('tcx') ? 'clsact' : 'tcx', 'attached as the kernel can do it best');
  t.equal(
    ok('ip', ['-n', nic.netns, '-br', 'link']).trim().split('\n').length,
    2,
    'there is one interface more to see',
  );
  await allTraffic(t, nic);
  if (merges(attachmentOf(nic)))
    t.ok(look(nic).poll.merged > 0, `${look(nic).poll.merged} datagrams were merged on the reinject path`);
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  await holds(t, nic, udp);
  await crash(t, nic, udp, 20_000, ['--ring-size', '256K']);
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');
  checkGone(t, nic);
  t.notMatch(ok('ip', ['-n', nic.netns, '-br', 'link']), /vnet0/, 'the interface is gone');
});

t.test('veth that drops', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K', '--when-full', 'drop']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  udp.offer(1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  await refuses(t, nic, udp);
});
