// SPDX-License-Identifier: MIT
/**
 * The user's root qdiscs on vnet0. They come after the TC egress: what is looped is a copy made before them, so they
 * slow senders down but do nothing to frames. Only held frames pass one, on their way to the waiting room.
 * docs/backpressure.md says what that means.
 */
import t, { type Test } from 'tap';

import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { attachedIn, SLOW, type Attached } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { ADDRESSES, atRest, delay, exchange, look, stopped, WAIT_MS } from '../helpers/loop';
import { ok, okIn, quietNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { withoutQdisc } from '../helpers/qdisc';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];

function setRoot(nic: Attached, dev: string, qdisc: string): void {
  ok('tc', ['-n', nic.netns, 'qdisc', 'replace', 'dev', dev, 'root', ...qdisc.split(' ')]);
}

async function loops(t: Test, udp: OwnUdp, count: number): Promise<void> {
  const expected = udp.received + count;
  await exchange(udp, udp.sent + count);
  t.ok(await udp.takeUntil(expected, WAIT_MS), `what is looped does not pass it: all ${count} came back`);
}

/**
 * Fills the queue; returns, once it is empty again, how many frames came back and how many were lost while they were
 * held.
 */
async function fillQueue(nic: Attached, udp: OwnUdp): Promise<{ sent: number; received: number; dropped: number }> {
  const before = { sent: udp.sent, received: udp.received, dropped: look(nic).held.dropped };
  await stopped(nic, () => udp.offer(3000));
  for (const end = Date.now() + WAIT_MS; look(nic).queue.stopped && Date.now() < end; await delay(20)) udp.take();
  await delay(100 * SLOW); // a qdisc of the user may have kept some back
  const { held } = await atRest(nic);
  udp.take();
  return {
    sent: udp.sent - before.sent,
    received: udp.received - before.received,
    dropped: held.dropped - before.dropped,
  };
}

function checkAccounting(t: Test, nic: Attached): void {
  const { queue } = look(nic);
  const sums = frameAccounting(look(nic));
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  t.same({ stopped: queue.stopped, wakes: queue.wakes }, { stopped: false, wakes: queue.stops }, 'the queue is awake');
}

/** Sends what the interface receives or transmits through ifb0, which sends it on. */
function throughIfb({ netns, iface }: Attached, attach: string, way: 'ingress' | 'egress'): void {
  ok('ip', ['-n', netns, 'link', 'add', 'ifb0', 'type', 'ifb']);
  ok('ip', ['-n', netns, 'link', 'set', 'ifb0', 'up']);
  // Without tcx, our program is attached to it already.
  if (attach === 'tcx') ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', iface, 'clsact']);
  // prettier-ignore
  ok('tc', ['-n', netns, 'filter', 'add', 'dev', iface, way, 'protocol', 'all', 'prio', '77', 'u32', 'match', 'u32', '0', '0',
    'action', 'mirred', 'egress', 'redirect', 'dev', 'ifb0']);
}

/** Qdiscs that queue, and lose nothing. */
const FAITHFUL = ['htb default 1', 'fq'];

t.test('qdiscs on a veth', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  await loops(t, udp, 1);
  for (const qdisc of FAITHFUL) {
    await t.test(qdisc, { skip: withoutQdisc(qdisc) }, async (t) => {
      setRoot(nic, nic.iface, qdisc);
      await loops(t, udp, 200);
      const { sent, received, dropped } = await fillQueue(nic, udp);
      t.same(
        { received, dropped, order: udp.outOfOrder },
        { received: sent, dropped: 0, order: 0 },
        'held frames pass it: all came back, in order',
      );
      checkAccounting(t, nic);
    });
  }
  await t.test('an ifb that what is transmitted passes', async (t) => {
    const { attach } = look(nic);
    throughIfb(nic, attach, 'egress');
    await loops(t, udp, 200);
    const { sent, received, dropped } = await fillQueue(nic, udp);
    t.same({ received, dropped }, { received: sent, dropped: 0 }, 'each comes back once, held ones, too');
    t.equal(look(nic).tx.packets, look(nic).rx.packets, 'and is counted once');
    checkAccounting(t, nic);
    ok('tc', ['-n', nic.netns, 'filter', 'del', 'dev', nic.iface, 'egress', 'prio', '77']);
    if (attach === 'tcx') ok('tc', ['-n', nic.netns, 'qdisc', 'del', 'dev', nic.iface, 'clsact']);
    ok('ip', ['-n', nic.netns, 'link', 'del', 'ifb0']);
  });

  // The one that does most harm to held frames.
  const skip = withoutQdisc('netem');
  await t.test('netem delay', { skip }, async (t) => {
    setRoot(nic, nic.iface, 'netem delay 300ms limit 10000');
    await loops(t, udp, 200);
    const { sent, received, dropped } = await fillQueue(nic, udp);
    t.equal(
      received + dropped,
      sent,
      `of ${sent} datagrams ${dropped} were lost while they were held, each is counted`,
    );
    checkAccounting(t, nic);
  });

  await t.test('netem loss', { skip }, async (t) => {
    setRoot(nic, nic.iface, 'netem loss 30%');
    await loops(t, udp, 200);
    const { sent, received, dropped } = await fillQueue(nic, udp);
    t.ok(dropped > 0, 'held frames pass it: some are lost');
    t.equal(received + dropped, sent, `${dropped} of ${sent}, each is counted`);
    t.ok(look(nic).behind.missing > dropped, 'and with them the originals of those that came back');
    checkAccounting(t, nic);
  });

  await t.test('netem duplicate', { skip }, async (t) => {
    setRoot(nic, nic.iface, 'netem duplicate 30%');
    // What the last one lost is missing still: the two are counted against each other.
    const surplus = ({ behind }: Stats): number => behind.copies - behind.missing;
    const before = surplus(look(nic));
    await loops(t, udp, 200);
    const { sent, received } = await fillQueue(nic, udp);
    t.ok(received > sent, `held frames pass it: ${received - sent} of ${sent} came back twice`);
    const copies = surplus(look(nic)) - before;
    t.ok(copies >= received - sent, `the peer saw ${copies} copies`);
    checkAccounting(t, nic);
  });

  await t.test('netem on the reinject path, through an ifb', { skip }, async (t) => {
    ok('tc', ['-n', nic.netns, 'qdisc', 'del', 'dev', nic.iface, 'root']);
    throughIfb(nic, look(nic).attach, 'ingress');
    setRoot(nic, 'ifb0', 'netem delay 150ms');
    const output = okIn(nic.netns, 'ping', ['-c', '3', '-i', '0.2', '-W', String(2 * SLOW), ADDRESSES[0]]);
    const fastest = Number(/min\/avg\/max\/mdev = ([\d.]+)/.exec(output)?.[1] ?? NaN);
    t.ok(fastest >= 300, `request and reply are delayed by 150 ms each: the fastest took ${fastest} ms`);
    setRoot(nic, 'ifb0', 'netem loss 30%');
    const before = udp.received;
    await exchange(udp, udp.sent + 300);
    await atRest(nic);
    await delay(20 * SLOW);
    udp.take();
    const received = udp.received - before;
    t.ok(received > 0 && received < 300, `and lost behind the loop: ${received} of 300 arrived`);
    checkAccounting(t, nic);
  });
});

t.test('an ifb that what a dummy transmits passes', { skip: cannotLoop() || withoutDummy() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [...ARGUMENTS, '--type', 'dummy']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  throughIfb(nic, look(nic).attach, 'egress');
  await loops(t, udp, 200);
  await atRest(nic);
  const received = udp.received;
  udp.take();
  t.equal(udp.received, received, 'once each');
  checkAccounting(t, nic);
});

t.test('a qdisc on a dummy', { skip: cannotLoop() || withoutQdisc('netem') || withoutDummy() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [...ARGUMENTS, '--type', 'dummy']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  setRoot(nic, nic.iface, 'netem loss 100%');
  await loops(t, udp, 200);
  checkAccounting(t, nic);
});
