// SPDX-License-Identifier: MIT
/** An interface with two queues: all that the loop promises, and that a flow keeps to one queue. */
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { allTraffic } from '../helpers/all-traffic';
import { attachedIn, attachmentOf, cli, cliOk, ROOT, SLOW, type Attached } from '../helpers/cli';
import { ADDRESSES, ARGUMENTS, atRest, checkGone, checkRest, delay, look, refusals, refuses, stopped, WAIT_MS } from '../helpers/loop';
import { LiveCounters } from '../helpers/live-counters';
import { quietNetns, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

/** So many that not all fall to one queue, but for once in 30,000 runs. */
const FLOWS = 16;
const TWO = ['--queues', '2'];

/** Offers so much that both queues are full. */
const offerAll = (flows: readonly OwnUdp[]): void => flows.forEach((flow) => flow.offer(200));

async function checkFlows(t: Test, flows: readonly OwnUdp[]): Promise<void> {
  for (const flow of flows) await flow.takeUntil(flow.sent, WAIT_MS);
  t.same(flows.map(({ received }) => received), flows.map(({ sent }) => sent), 'all came back');
  t.same(flows.map(({ outOfOrder, damaged }) => ({ outOfOrder, damaged })), flows.map(() => ({ outOfOrder: 0, damaged: 0 })), 'each flow in order and whole');
}

async function crashed(t: Test, nic: Attached, flows: readonly OwnUdp[]): Promise<void> {
  const { pid, id } = attachmentOf(nic);
  process.kill(pid, 'SIGKILL');
  for (const end = Date.now() + WAIT_MS; look(nic).state !== 'crashed' && Date.now() < end; ) await delay(5);
  offerAll(flows);
  const where = [nic.iface, '--netns', nic.netns];
  const other = cli(['attach', ...where, '--queues', '3']);
  t.equal(other.status, 1, 'another number of queues does not fit');
  t.match(other.stderr, /left it with --queues 2/);
  cliOk(['attach', ...where, '--daemon', ...TWO]);
  t.equal(attachmentOf(nic).id, id, 'the next attach adopts it');
}

t.test('two queues that hold', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, testNetns(t), [...ARGUMENTS, ...TWO]);
  t.equal(attachmentOf(nic).attach, without('tcx') ? 'clsact' : 'tcx', 'attached as the kernel can do it best');
  t.equal(look(nic).queue.queues, 2, 'stats says so');
  await allTraffic(t, nic, 'unordered');
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');

  const queues = [0, 1].map((queue) => new LiveCounters(t, nic, queue));
  const before = queues.map((queue) => queue.get('captured'));
  const flows = Array.from({ length: FLOWS }, (_, i) => new OwnUdp(t, nic.netns, ADDRESSES[i % 2] as string, 400));
  await stopped(nic, () => {
    offerAll(flows);
    t.same(queues.map((queue) => queue.stopped && queue.held > 0), [true, true], 'both are full and hold');
    const { queue, held } = look(nic);
    t.equal(held.now, queues.reduce((sum, one) => sum + one.held, 0), 'stats has the sum of what is held');
    t.equal(queue.packets, queues.reduce((sum, one) => sum + one.queued, 0), 'and of what is queued');
  });
  await checkFlows(t, flows);
  t.ok(queues.every((queue, i) => queue.get('captured') > (before[i] as number)), 'flows were spread over both');

  const one = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  const alone = queues.map((queue) => queue.get('captured'));
  one.offer(100);
  await checkFlows(t, [one]);
  t.equal(queues.filter((queue, i) => queue.get('captured') >= (alone[i] as number) + 100).length, 1, 'a flow keeps to one');

  await crashed(t, nic, flows);
  await checkFlows(t, flows);
  t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');
  checkGone(t, nic);
});

t.test('two queues that drop', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K', '--when-full', 'drop', ...TWO]);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  udp.offer(1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  await refuses(t, nic, udp);
});

t.test('what takes one queue says so, and changes nothing', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, testNetns(t), [...ARGUMENTS, ...TWO]);
  const where = [nic.iface, '--netns', nic.netns];
  for (const [args, says] of [
    [['hook', ...where, path.join(ROOT, 'dist/examples/counter.js')], /a hook on vnet0: it has 2 queues.*hint: vnet-bpf attach vnet0 --replace/s],
    [['record', ...where, '--write', '-'], /a recording on vnet0: it has 2 queues/],
    [['step', ...where], /it has 2 queues/],
  ] as const) {
    const { status, stderr } = cli(args);
    t.equal(status, 1, `${args[0]} is refused`);
    t.match(stderr, says);
  }
  const flows = [0, 1].map(() => new OwnUdp(t, nic.netns, ADDRESSES[0], 200));
  for (const flow of flows) {
    // Frames that wait for the neighbour's address are overtaken by those that come once it is known.
    flow.offer(1);
    await flow.takeUntil(1, WAIT_MS);
    flow.offer(100);
  }
  await checkFlows(t, flows);
  t.equal((await atRest(nic)).state, 'running', 'and it loops on');
});
