// SPDX-License-Identifier: MIT
/**
 * Storms of stops and wakes: random bursts from many short-lived sockets into a small ring. A
 * socket that is closed while its frames wait loses none of them.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, checkAccounting, SLOW } from '../../helpers/cli';
import { checkReceived, startFloodReceiver } from '../../helpers/flood';
import { Messages } from '../../helpers/messages';
import * as native from '../../helpers/native-socket';
import { quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled, withoutArp } from '../../helpers/traffic';
import { fillPattern } from '../../helpers/udp-payload';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const BYTES = 600;
const SOCKETS = 700;
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '500' };

/**
 * Opens a socket, sends a burst, and closes the socket at once; returns the number of datagrams that the kernel took.
 */
function burst(netns: string, port: number, messages: Messages, flow: number, count: number): number {
  const fd = native.openSocket(netns, native.AF_INET, native.SOCK_DGRAM, 0);
  try {
    native.connect(fd, native.socketAddress(ADDRESS, port));
    for (let i = 0; i < count; i++) {
      const payload = messages.payload(i);
      const words = new DataView(payload.buffer, payload.byteOffset, 8);
      words.setUint32(0, flow, true);
      words.setUint32(4, i, true);
    }
    const sent = messages.send(fd, 0, count, native.MSG_DONTWAIT);
    if (sent < 0 && sent !== -native.EAGAIN) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
    return Math.max(0, sent);
  } finally {
    fs.closeSync(fd);
  }
}

async function storm(t: Test, whenFull: 'hold' | 'drop', watermark: string): Promise<void> {
  const args = [
    '--addr',
    `${ADDRESS}/24`,
    '--ring-size',
    '256K',
    '--when-full',
    whenFull,
    '--low-watermark',
    watermark,
  ];
  const nic = attachedIn(t, quietNetns(t), args, 'vnet0', SLOW_POLLER);
  withoutArp(nic, ADDRESS);
  const { receiver, port } = await startFloodReceiver(t, nic.netns, { address: ADDRESS, bytes: BYTES });
  const random = Random.announced(t);
  const before = nic.stats();
  using messages = new Messages(200, BYTES);
  for (let i = 0; i < messages.count; i++) fillPattern(messages.payload(i));
  let sent = 0;
  for (let flow = 0, sockets = scaled(SOCKETS); flow < sockets; flow++) {
    sent += burst(nic.netns, port, messages, flow, random.between(1, messages.count));
    // A pause now and then lets the queue run empty, so that it stops and wakes again.
    if (random.chance(10)) await new Promise((resolve) => setTimeout(resolve, random.between(0, 30)));
  }
  const after = await nic.atRest();
  const received = await receiver.stop();
  t.comment(
    `${sent} sent, ${received.received} received, ${after.held.total} held, ${after.refused.full} refused, ${after.queue.stops} stops`,
  );
  t.equal(after.tx.packets - before.tx.packets, sent, 'TX counts every one');
  t.ok(after.queue.stops > 0, 'the queue stopped');
  t.equal(after.queue.stopped, false, 'and is awake');
  t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
  t.equal(after.held.again, 0, 'no frame went round it twice');
  if (whenFull === 'hold') checkReceived(t, received, sent);
  else {
    t.equal(received.received + after.refused.full, sent, 'received + refused = sent, to the packet');
    t.same(
      { repeated: received.repeated, overtaken: received.overtaken },
      { repeated: 0, overtaken: 0 },
      'none twice, none overtaken',
    );
  }
  checkAccounting(t, nic, after);
}

for (const whenFull of ['hold', 'drop'] as const) {
  for (const watermark of ['1%', '50%', '99%']) {
    t.test(`${whenFull}, wakes at ${watermark}`, { skip: cannotRun }, (t) => storm(t, whenFull, watermark));
  }
}
