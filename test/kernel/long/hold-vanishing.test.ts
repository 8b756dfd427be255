// SPDX-License-Identifier: MIT
/**
 * Frames that the kernel drops between `tx` and the waiting room while the queue is stopped, as any process with
 * CAP_NET_RAW can send them: however many segments they have, they are written off, the queue wakes, and nothing else
 * is lost.
 */
import t, { type Test } from 'tap';

import { roomFrameMax } from '../../../src/link/credit';
import { attachedIn, attachmentOf, cannotRun, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { differences, frameOf, from } from '../../helpers/frames';
import { look, stopped } from '../../helpers/loop';
import { quietNetns } from '../../helpers/netns';
import { RawSocket } from '../../helpers/raw-socket';
import { tcpSuperpacket } from '../../helpers/tcp-superpacket';

t.setTimeout(300_000 * SLOW);

const SOURCE = '02:00:00:00:0e:01';
const VNET_HDR_BYTES = 10;
const TRANSPORT = 34;
const DATA_OFFSET = 12;
const plain = (frame: Buffer): Buffer => Buffer.concat([Buffer.alloc(VNET_HDR_BYTES), frame]);

interface Vanishing {
  frame: Buffer;
  count: number;
}

/**
 * Superpackets with segments of one byte and a TCP header of no words, which cannot be segmented: together more than
 * 2^30 segments.
 */
function superpackets(nic: Attached): Vanishing {
  const payload = Math.floor(roomFrameMax(attachmentOf(nic).superpacketBytes) / (TRANSPORT + 1)) - 100;
  const frame = tcpSuperpacket(0, payload, 1);
  frame[VNET_HDR_BYTES + TRANSPORT + DATA_OFFSET] = 0;
  return { frame, count: Math.ceil((1.5 * 2 ** 30) / payload) };
}

/** A VLAN tag with nothing after it, which the receive path drops before any program sees it (skb_vlan_untag). */
const runts = (): Vanishing => ({ frame: plain(frameOf(16, { type: 0x8100 })), count: 1000 });

async function areWrittenOff(t: Test, make: (nic: Attached) => Vanishing): Promise<void> {
  const nic = attachedIn(t, quietNetns(t), ['--ring-size', '4M']);
  const socket = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true, sendBufferBytes: 64 << 20 });
  const { frame, count } = make(nic);
  const good: Buffer[] = [];
  await stopped(nic, () => {
    while (look(nic).held.now < 100) {
      const frames = Array.from({ length: 100 }, (_, i) => frameOf(1000 + i));
      for (const each of frames) socket.send(plain(each));
      good.push(...frames);
    }
    for (let i = 0; i < count; i++) socket.trySend(frame);
  });
  const received = await socket.received(good.length, from(SOURCE), 20_000);
  t.same(
    differences(
      good,
      received.map((captured) => captured.frame),
    ),
    [],
    'the good ones come back in order',
  );
  const stats = await nic.atRest();
  t.equal(stats.held.now, 0, 'nothing counts as held any more');
  t.equal(stats.held.dropped, count, 'those that never arrived are lost');
  t.same(
    { state: stats.state, wakes: stats.queue.wakes },
    { state: 'running', wakes: stats.queue.stops },
    'the queue was woken',
  );
  t.equal(stats.rx.packets, good.length, 'none came twice');
  t.match(cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']), 'balanced');
}

t.test('superpackets of many segments that cannot be segmented', { skip: cannotRun }, (t) =>
  areWrittenOff(t, superpackets),
);
t.test('frames that the receive path drops', { skip: cannotRun }, (t) => areWrittenOff(t, runts));
