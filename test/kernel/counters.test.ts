// SPDX-License-Identifier: MIT
/**
 * What happens to frames, and exactly the counters that it increments: docs/metrics.md has the event of each. Those
 * that need more than this (merged packets, hooks, impairments, frames that cannot be received) have tests of their
 * own.
 */
import t, { type Test } from 'tap';

import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { attachedIn, cliOk, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { frameOf } from '../helpers/frames';
import { atRest, delay, exchange, look, stopped, WAIT_MS } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { OtherProgram, type OtherName } from '../helpers/others';
import { OwnUdp } from '../helpers/own-sockets';
import { numbersOf } from '../helpers/prometheus';
import { RawSocket } from '../helpers/raw-socket';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(120_000 * SLOW);

const PAYLOAD = 200;
const FRAME = PAYLOAD + 42; // Ethernet, IPv4 and UDP
const COUNT = 20;
const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K', '--gro', 'off'];
/** How often the poller polls and sleeps is not checked. */
const ITS_OWN = /^poll\.(polls|sleeps|wakeups|budgetExhausted)$|^held\.grants$|^queue\.largestFrame$/;

/** The counters that have changed between two readings. */
function changes(before: Stats, after: Stats): Record<string, number> {
  const earlier = new Map(numbersOf(before));
  const changed = numbersOf(after).map(([name, value]): [string, number] => [name, value - (earlier.get(name) ?? 0)]);
  return Object.fromEntries(changed.filter(([name, by]) => by !== 0 && !ITS_OWN.test(name)));
}

interface Loop {
  nic: Attached;
  udp: OwnUdp;
}

async function loopOf(t: Test, args: readonly string[] = []): Promise<Loop> {
  const nic = attachedIn(t, quietNetns(t), [...ARGUMENTS, '--type', 'veth', ...args]);
  const udp = new OwnUdp(t, nic.netns, '10.77.0.1', PAYLOAD);
  await exchange(udp, 1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  return { nic, udp };
}

const frames = (count: number): Record<string, number> => ({ 'tx.packets': count, 'tx.bytes': count * FRAME });
const back = (count: number): Record<string, number> => ({ 'rx.packets': count, 'rx.bytes': count * FRAME });

/** Sends more datagrams than fit into the ring while the poller is stopped; returns the readings then and at rest. */
async function overfill({ nic, udp }: Loop): Promise<{ before: Stats; full: Stats; after: Stats; sent: number }> {
  const before = await atRest(nic);
  let sent = 0;
  let full = before;
  await stopped(nic, () => {
    sent = udp.offer(2000);
    full = look(nic);
  });
  for (const end = Date.now() + WAIT_MS; look(nic).queue.stopped && Date.now() < end; await delay(10)) udp.take();
  return { before, full, after: await atRest(nic), sent };
}

async function withProgram(t: Test, { nic }: Loop, program: OtherName, body: () => Promise<void>): Promise<void> {
  const other = OtherProgram.behind(t, nic, { program });
  await body();
  other.detach();
}

t.test('a queue that holds', { skip: cannotLoop() }, async (t) => {
  const loop = await loopOf(t);
  const { nic, udp } = loop;

  await t.test('frames that come back', async (t) => {
    const before = await atRest(nic);
    await exchange(udp, udp.sent + COUNT);
    t.ok(await udp.takeUntil(udp.sent, WAIT_MS));
    t.same(changes(before, await atRest(nic)), { ...frames(COUNT), ...back(COUNT) });
  });

  await t.test('frames that have to wait', async (t) => {
    const { before, full, after, sent } = await overfill(loop);
    const now = full.held.now;
    t.equal(full.queue.packets + now, sent, `of ${sent} frames ${now} wait`);
    t.same([full.queue.stopped, full.queue.stops - before.queue.stops], [true, 1], 'the queue has stopped');
    // A closed room lets a few out: its bucket cannot be empty.
    t.ok(now > 0 && full.held.total - before.held.total >= now, 'they count as held');
    const { 'queue.stops': stops, 'queue.wakes': wakes, ...rest } = changes(before, after);
    t.same(rest, { ...frames(sent), ...back(sent), 'held.total': after.held.total - before.held.total });
    t.ok(stops === wakes && (stops as number) > 0, `${stops} stops and wakes`);
  });

  await t.test('frames past the TC egress', async (t) => {
    const socket = RawSocket.open(t, nic.netns, nic.iface, { bypass: true });
    const before = await atRest(nic);
    const news = (): string[] =>
      cliOk(['log', 'vnet0', '--netns', nic.netns]).match(/.*without our mark \(stray\).*/g) ?? [];
    t.same(news(), [], 'the log says nothing yet');
    for (let i = 0; i < COUNT; i++) socket.send(frameOf(100 + i));
    await delay(50 * SLOW);
    t.same(changes(before, await atRest(nic)), { stray: COUNT });
    t.ok(await eventually(() => news().length > 0, 5000), 'the log says so');
    socket.send(frameOf(100));
    await delay(1200 * SLOW);
    t.equal(news().length, 1, 'once');
  });

  await t.test('frames that somebody drops behind tx, captured before', async (t) => {
    await withProgram(t, loop, 'drops', async () => {
      const before = await atRest(nic);
      const due = udp.received + COUNT;
      await exchange(udp, udp.sent + COUNT);
      t.ok(await udp.takeUntil(due, WAIT_MS), 'they come back');
      t.same(changes(before, await atRest(nic)), { ...frames(COUNT), ...back(COUNT), 'behind.missing': COUNT });
    });
  });

  await t.test('the same, while they have to wait', async (t) => {
    await withProgram(t, loop, 'drops', async () => {
      const { before, after, sent } = await overfill(loop);
      const dropped = after.held.dropped - before.held.dropped;
      const { 'queue.stops': _stops, 'queue.wakes': _wakes, ...rest } = changes(before, after);
      t.same(rest, {
        ...frames(sent),
        ...back(sent - dropped),
        'held.total': dropped,
        'held.dropped': dropped,
        'behind.missing': sent,
      });
      t.ok(dropped > 0 && frameAccounting(after).balanced, `${dropped} are written off`);
    });
  });

  await t.test('frames whose marks somebody erases', async (t) => {
    await withProgram(t, loop, 'erases', async () => {
      const before = await atRest(nic);
      const due = udp.received + COUNT;
      await exchange(udp, udp.sent + COUNT);
      t.ok(await udp.takeUntil(due, WAIT_MS), 'they come back');
      t.same(changes(before, await atRest(nic)), {
        ...frames(COUNT),
        ...back(COUNT),
        'behind.missing': COUNT,
        stray: COUNT,
      });
    });
  });
});

t.test('a queue that drops', { skip: cannotLoop() }, async (t) => {
  const { before, after, sent } = await overfill(await loopOf(t, ['--when-full', 'drop']));
  const refused = after.refused.full - before.refused.full;
  const { 'queue.stops': stops, 'queue.wakes': wakes, ...rest } = changes(before, after);
  t.same(rest, { ...frames(sent), ...back(sent - refused), 'refused.full': refused });
  t.ok(refused > 0 && stops === wakes, `${refused} of ${sent} are refused`);
});
