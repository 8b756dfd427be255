// SPDX-License-Identifier: MIT
/** Other properties of an interface with several queues; matrix-queues.test.ts has the traffic. */
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cli, ROOT, SLOW } from '../helpers/cli';
import { checkFlows, TWO_QUEUES } from '../helpers/flows';
import { ADDRESSES, ARGUMENTS, atRest, refuses, WAIT_MS } from '../helpers/loop';
import { quietNetns, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

t.test('two queues that drop', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [
    '--addr',
    '10.77.0.1/24',
    '--ring-size',
    '256K',
    '--when-full',
    'drop',
    ...TWO_QUEUES,
  ]);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  udp.offer(1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  await refuses(t, nic, udp);
});

t.test('what takes one queue says so, and changes nothing', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, testNetns(t), [...ARGUMENTS, ...TWO_QUEUES]);
  const where = [nic.iface, '--netns', nic.netns];
  for (const [args, says] of [
    [
      ['hook', ...where, path.join(ROOT, 'dist/examples/counter.js')],
      /a hook on vnet0: it has 2 queues.*hint: vnet-bpf attach vnet0 --netns \S+ --replace/s,
    ],
    [['record', ...where, '--write', '-'], /a recording on vnet0: it has 2 queues/],
    [['step', ...where], /^vnet-bpf: step on vnet0: it has 2 queues, and step takes one$/m],
  ] as const) {
    const { status, stderr } = cli(args);
    t.equal(status, 1, `${args[0]} is refused`);
    t.match(stderr, says);
  }
  const flows = [0, 1].map(() => new OwnUdp(t, nic.netns, ADDRESSES[0], 200));
  for (const flow of flows) {
    // Frames that wait for the neighbour's address are overtaken by those sent once it is known.
    flow.offer(1);
    await flow.takeUntil(1, WAIT_MS);
    flow.offer(100);
  }
  await checkFlows(t, flows);
  t.equal((await atRest(nic)).state, 'running', 'and it loops on');
});
