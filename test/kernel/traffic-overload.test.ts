// SPDX-License-Identifier: MIT
/**
 * A sender faster than the poller, with `--when-full drop`: the queue stops, the sender gets an error, the queue wakes;
 * every packet is either received or counted as refused.
 */
import { randomBytes } from 'node:crypto';

import t, { type Test } from 'tap';

import { attachedIn, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { frameOf, from } from '../helpers/frames';
import { announced } from '../helpers/kernel-log';
import { quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';
import { scaled, tcpRun, udpRun, withoutArp, type UdpRun } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
/** Slows the poller: at least 2 ms between two batches of 64. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: String(2000 * SLOW) };
const PACKETS = 300_000;
const ENOBUFS = 105;

/** A quiet interface with a small ring and a slow poller. Its name is its own: the kernel log is everyone's. */
function slowNic(t: Test, args: readonly string[] = []): Attached {
  const nic = attachedIn(
    t,
    quietNetns(t),
    ['--addr', `${ADDRESS}/24`, '--ring-size', '256K', '--when-full', 'drop', ...args],
    `vq${randomBytes(4).toString('hex')}`,
    SLOW_POLLER,
  );
  withoutArp(nic, ADDRESS);
  return nic;
}

/** Asserts what must hold for any flood: nothing vanished, nothing came twice, and the queue really was full. */
async function checkFlood(t: Test, nic: Attached, before: number, { sender, receiver }: UdpRun): Promise<void> {
  const after = await nic.atRest();
  const { stops } = after.queue;
  const offered = sender.sent + sender.enobufs;
  t.comment(
    `${offered} offered in ${sender.seconds.toFixed(2)} s (${Math.round(offered / sender.seconds)} per second): ` +
      `${receiver.received} received, ${after.refused.full} refused, ${stops} stops`,
  );
  t.equal(after.tx.packets - before, offered, 'tx counts every packet that was offered');
  t.equal(receiver.overflow, 0, 'the receiving socket had space for all');
  t.equal(receiver.received + after.refused.full, offered, 'received + refused = offered, to the packet');
  t.ok(after.refused.full > 0 && receiver.received > 0, 'some were refused and some were not');
  t.equal(receiver.outOfOrder, 0, 'those received are in order');
  t.equal(receiver.damaged, 0, 'and undamaged');
  t.ok(stops > 0, 'the queue stopped');
  t.equal(after.queue.stopped, false, 'the queue is awake');
  t.equal(after.queue.usedBytes, 0, 'the ring is empty');
  checkAccounting(t, nic, after);
}

t.test('a flood: each packet is received or counted as refused; both logs tell', { skip: cannotCarry() }, async (t) => {
  const nic = slowNic(t);
  const before = nic.stats().tx.packets;
  const run = await udpRun(t, nic.netns, { to: ADDRESS, packets: scaled(PACKETS), bytes: 200, flows: 2 });
  t.equal(run.sender.enobufs, 0, 'a sender that does not ask for errors hears of none');
  await checkFlood(t, nic, before, run);
  t.equal(
    await announced(nic, 'queue stopped'),
    null,
    '"VNET: queue stopped" is in the kernel log and in vnet-bpf log',
  );
  t.equal(await announced(nic, 'queue woken'), null, '"VNET: queue woken" is in the kernel log and in vnet-bpf log');
});

t.test('a UDP sender that asks for errors is told: ENOBUFS', { skip: cannotCarry() }, async (t) => {
  const nic = slowNic(t);
  const before = nic.stats().tx.packets;
  const run = await udpRun(t, nic.netns, { to: ADDRESS, packets: scaled(PACKETS / 3), bytes: 200, recvErr: true });
  t.ok(run.sender.enobufs > 0, `ENOBUFS for ${run.sender.enobufs} of ${run.sender.sent + run.sender.enobufs}`);
  await checkFlood(t, nic, before, run);
  t.equal((await nic.atRest()).refused.full, run.sender.enobufs, 'as often as packets were refused');
});

t.test('so is a packet socket', { skip: cannotCarry() }, async (t) => {
  const nic = slowNic(t, ['--queue-packets', '16']); // it sends frame by frame, which takes longer
  const receiver = RawSocket.open(t, nic.netns, nic.iface);
  const sender = RawSocket.open(t, nic.netns, nic.iface);
  const before = nic.stats().tx.packets;
  const frame = frameOf(200);
  const results = new Map<number, number>();
  const count = scaled(20_000);
  for (let i = 0; i < count; i++) {
    frame.writeUInt32LE(i, 14);
    const errno = sender.trySend(frame);
    results.set(errno, (results.get(errno) ?? 0) + 1);
  }
  const sent = results.get(0) ?? 0;
  const refused = results.get(ENOBUFS) ?? 0;
  t.ok(refused > 0, `ENOBUFS for ${refused} of ${count}`);
  t.equal(sent + refused, count, 'and no other error');
  const back = await receiver.received(sent, from('02:00:00:00:0e:01'));
  t.equal(back.length, sent, 'each frame that was taken came back');
  const numbers = back.map((captured) => captured.frame.readUInt32LE(14));
  t.ok(
    numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number)),
    'in order',
  );
  const after = await nic.atRest();
  t.equal(after.refused.full, refused, 'refused in stats is what the sender was told');
  t.equal(after.tx.packets - before, count, 'tx counts both');
  checkAccounting(t, nic, after);
});

t.test('TCP gets through a queue that is often full', { skip: cannotCarry() }, async (t) => {
  const nic = slowNic(t, ['--queue-packets', '4']);
  const { sent, received } = await tcpRun(t, nic.netns, ADDRESS, scaled(16 << 20));
  t.equal(received.sha256, sent.sha256, 'equal SHA-256');
  const after = await nic.atRest();
  t.ok(after.queue.stops > 0, `the queue stopped ${after.queue.stops} times`);
  checkAccounting(t, nic, after);
});
