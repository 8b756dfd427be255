// SPDX-License-Identifier: MIT
/** A stopped poller: its senders wait, nothing retries, and when it continues nothing is missing. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { attachmentOf, attachedIn, cannotRun, checkAccounting, SLOW, type Attached } from '../../helpers/cli';
import { checkReceived, startFlood, startFloodReceiver } from '../../helpers/flood';
import { LiveCounters } from '../../helpers/live-counters';
import { Messages } from '../../helpers/messages';
import * as native from '../../helpers/native-socket';
import { quietNetns } from '../../helpers/netns';
import { cpuMs, machineSoftirqMs } from '../../helpers/process-times';
import { scaled, withoutArp } from '../../helpers/traffic';
import { fillPattern } from '../../helpers/udp-payload';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const PAUSE_MS = 5000;
/** Time for frames in flight to come to rest. */
const SETTLE_MS = 500 * SLOW;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function quietNic(t: Test, args: readonly string[] = []): Attached {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--ring-size', '256K', ...args]);
  withoutArp(nic, ADDRESS);
  return nic;
}

t.test('SIGSTOP for 5 s under load, then SIGCONT', { skip: cannotRun }, async (t) => {
  const nic = quietNic(t);
  const live = new LiveCounters(t, nic);
  const { pid } = attachmentOf(nic);
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows: 4 });
  t.ok(await live.until(() => live.get('captured') > 1000, 10_000), 'the load is there');
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => fs.existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGCONT'));
  await delay(SETTLE_MS);
  const reading = () => ({
    captured: live.get('captured'),
    drained: live.get('drained'),
    held: live.held,
    again: live.get('heldAgain'),
    grants: live.get('grants'),
    cpuMs: cpuMs(pid),
    senderCpuMs: cpuMs(sender.pid),
  });
  const before = reading();
  const softirq = machineSoftirqMs();
  t.ok(live.stopped && before.held > 0, `the queue is stopped, ${before.held} frames wait`);
  await delay(PAUSE_MS);
  // The sender is asleep in sendmmsg: the kernel does nothing for it either, or these would move.
  t.same(reading(), before, `for ${PAUSE_MS / 1000} s nothing moves, neither frames nor processor time`);
  t.comment(`software interrupts of the whole machine meanwhile: ${machineSoftirqMs() - softirq} ms`);
  process.kill(pid, 'SIGCONT');
  t.ok(await live.until(() => live.get('drained') > before.captured + before.held, 10_000), 'it goes on');
  const sent = await sender.stop();
  const after = await nic.atRest();
  checkReceived(t, await receiver.stop(), sent.sent);
  t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
  t.equal(after.held.again, 0, 'no frame went round it twice');
  checkAccounting(t, nic, after);
});

t.test('a sleeping poller costs nothing while senders wait', { skip: cannotRun }, async (t) => {
  // The poller is not stopped from outside: it rests between two batches, as it would while it cannot deliver.
  const rest = String(2_000_000 * SLOW);
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--ring-size', '256K'], 'vnet0', {
    VNET_BPF_TEST_POLL_DELAY_US: rest,
  });
  withoutArp(nic, ADDRESS);
  const live = new LiveCounters(t, nic);
  const { pid } = attachmentOf(nic);
  const { sender } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200 });
  t.ok(await live.until(() => live.stopped, 10_000), 'the queue is stopped');
  await delay(SETTLE_MS);
  const before = { cpu: cpuMs(pid), at: performance.now() };
  await delay(1500 * SLOW);
  const share = (cpuMs(pid) - before.cpu) / (performance.now() - before.at);
  t.ok(share < 0.1, `the controller uses ${(share * 100).toFixed(1)} % of a processor: under 10 %`);
  process.kill(sender.pid, 'SIGKILL');
});

/** Sends until the socket would block; returns the number of datagrams. */
function fill(fd: number, messages: Messages, flow: number): number {
  const words = Array.from({ length: messages.count }, (_, i) => {
    const payload = messages.payload(i);
    return new DataView(payload.buffer, payload.byteOffset, 8);
  });
  for (let sequence = 0; ;) {
    words.forEach((word, i) => {
      word.setUint32(0, flow, true);
      word.setUint32(4, sequence + i, true);
    });
    const sent = messages.send(fd, 0, messages.count, native.MSG_DONTWAIT);
    if (sent === -native.EAGAIN) return sequence;
    if (sent < 0) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
    sequence += sent;
  }
}

t.test('time to empty for many blocked sockets', { skip: cannotRun }, async (t) => {
  const BYTES = 200;
  for (const sockets of [...new Set([1, scaled(100), scaled(1000)])]) {
    const nic = quietNic(t);
    const live = new LiveCounters(t, nic);
    const { pid } = attachmentOf(nic);
    const { receiver, port } = await startFloodReceiver(t, nic.netns, { address: ADDRESS, bytes: BYTES });
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => fs.existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGCONT'));
    using messages = new Messages(16, BYTES);
    for (let i = 0; i < messages.count; i++) fillPattern(messages.payload(i));
    let sent = 0;
    const fds: number[] = [];
    // The first fills the ring and then its own buffer; the others find the queue stopped.
    for (let flow = 0; flow < sockets; flow++) {
      const fd = native.openSocket(nic.netns, native.AF_INET, native.SOCK_DGRAM, 0);
      native.connect(fd, native.socketAddress(ADDRESS, port));
      fds.push(fd);
      sent += fill(fd, messages, flow);
    }
    await delay(50 * SLOW);
    const held = live.held;
    const start = performance.now();
    process.kill(pid, 'SIGCONT');
    t.ok(
      await live.until(() => live.held === 0 && live.queued === 0, 20_000),
      `${sockets} sockets: the room is empty in the end`,
    );
    const ms = performance.now() - start;
    t.comment(
      `${sockets} blocked sockets: ${held} held frames gone in ${ms.toFixed(0)} ms, ${Math.round(sent / ms)} frames per ms`,
    );
    const after = await nic.atRest();
    checkReceived(t, await receiver.stop(), sent);
    t.equal(after.held.dropped, 0, `${sockets} sockets: the waiting room lost nothing`);
    checkAccounting(t, nic, after);
    fds.forEach((fd) => fs.closeSync(fd));
  }
});
