// SPDX-License-Identifier: MIT
/**
 * Other people's programs and filters on vnet0: they run before and after ours, whether the programs are attached
 * through tcx or clsact. matrix-dummy.test.ts tests the same on an interface that outlives the attachment.
 */
import t from 'tap';

import { attachedIn, attachmentOf, SLOW } from '../helpers/cli';
import { checkGone } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { OtherProgram } from '../helpers/others';
import { CLSACT, LOOP, together } from '../helpers/others-together';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

t.test('tcx: a program that came later', { skip: without('tcx') }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), LOOP);
  t.equal(attachmentOf(nic).attach, 'tcx');
  await together(t, nic, { 'the program behind ours': OtherProgram.tcx(t, nic.netns, nic.iface) }, {});
  checkGone(t, nic);
});

t.test('clsact: filters that came later', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), LOOP, 'vnet0', CLSACT);
  t.equal(attachmentOf(nic).attach, 'clsact');
  const others = {
    'the filter before ours': OtherProgram.filter(t, nic.netns, nic.iface, 'before'),
    'the filter behind ours': OtherProgram.filter(t, nic.netns, nic.iface, 'behind'),
  };
  await together(t, nic, others, CLSACT);
  checkGone(t, nic);
});
