// SPDX-License-Identifier: MIT
/** An interface with two queues: everything that the loop promises, and that a flow stays on one queue. */
import t, { type Test } from 'tap';

import { allTraffic } from '../helpers/all-traffic';
import { attachedIn, attachmentOf, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { checkFlows, TWO_QUEUES } from '../helpers/flows';
import { LiveCounters } from '../helpers/live-counters';
import { ADDRESSES, ARGUMENTS, checkGone, checkRest, kill, look, refusals, stopped } from '../helpers/loop';
import { testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

/** Number of flows with which all fall to one queue only once in 30,000 runs. */
const FLOWS = 16;

/** Offers enough traffic to fill both queues. */
const offerAll = (flows: readonly OwnUdp[]): void => flows.forEach((flow) => flow.offer(200));

async function crashed(t: Test, nic: Attached, flows: readonly OwnUdp[]): Promise<void> {
  const { id } = attachmentOf(nic);
  await kill(nic);
  offerAll(flows);
  const where = [nic.iface, '--netns', nic.netns];
  const other = cli(['attach', ...where, '--queues', '3']);
  t.equal(other.status, 1, 'another number of queues does not fit');
  t.match(other.stderr, /left it with --queues 2/);
  cliOk(['attach', ...where, '--daemon', ...TWO_QUEUES]);
  t.equal(attachmentOf(nic).id, id, 'the next attach adopts it');
}

t.test('two queues that hold', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, testNetns(t), [...ARGUMENTS, ...TWO_QUEUES]);
  t.equal(attachmentOf(nic).attach, without('tcx') ? 'clsact' : 'tcx', 'attached as the kernel can do it best');
  t.equal(look(nic).queue.queues, 2, 'stats says so');
  await allTraffic(t, nic, 'unordered');
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');

  const queues = [0, 1].map((queue) => new LiveCounters(t, nic, queue));
  const before = queues.map((queue) => queue.get('captured'));
  const flows = Array.from({ length: FLOWS }, (_, i) => new OwnUdp(t, nic.netns, ADDRESSES[i % 2] as string, 400));
  await stopped(nic, () => {
    offerAll(flows);
    t.same(
      queues.map((queue) => queue.stopped && queue.held > 0),
      [true, true],
      'both are full and hold',
    );
    const { queue, held } = look(nic);
    t.equal(
      held.now,
      queues.reduce((sum, one) => sum + one.held, 0),
      'stats has the sum of what is held',
    );
    t.equal(
      queue.packets,
      queues.reduce((sum, one) => sum + one.queued, 0),
      'and of what is queued',
    );
  });
  await checkFlows(t, flows);
  t.ok(
    queues.every((queue, i) => queue.get('captured') > (before[i] as number)),
    'flows were spread over both',
  );

  const one = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  const alone = queues.map((queue) => queue.get('captured'));
  one.offer(100);
  await checkFlows(t, [one]);
  t.equal(
    queues.filter((queue, i) => queue.get('captured') >= (alone[i] as number) + 100).length,
    1,
    'a flow keeps to one',
  );

  await crashed(t, nic, flows);
  await checkFlows(t, flows);
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');
  checkGone(t, nic);
});
