// SPDX-License-Identifier: MIT
/** When the stopped queue is woken, without a waiting room and with one. */
import t from 'tap';

import { nextGrant, roomFrameCost, roomFrameMax, txBytesLimit, headroomBytes } from '../../src/datapath/credit';
import { CONTROL } from '../../src/datapath/layout';
import { GATE_STOPPED, heldNow } from '../../src/datapath/queue-gate';
import { FakeNic } from '../helpers/fake-nic';

const FRAME_MAX = roomFrameMax(64 << 10);
const stop = (nic: FakeNic): void => nic.control.set32(CONTROL.gate, nic.control.get32(CONTROL.gate) | GATE_STOPPED);
const frame = 'z'.repeat(104); // a record of 128 bytes with its header

t.test('wakes at the low watermark, once', async (t) => {
  const nic = new FakeNic({ budget: 1, limits: { lowWatermarkBytes: 256 } });
  for (let i = 0; i < 5; i++) nic.put(frame);
  stop(nic);
  const wokenAfter = [1, 2, 3, 4, 5].map(() => (nic.poller.poll(), nic.counter('wakesPoller')));
  t.same(wokenAfter, [0, 0, 1, 1, 1], 'with 512, 384, 256, 128 and 0 bytes left');
  t.notOk(nic.gate.stopped);
});

t.test('does not wake a queue that runs', async (t) => {
  const nic = new FakeNic();
  nic.put(frame);
  nic.poller.poll();
  t.equal(nic.counter('wakesPoller'), 0);
});

t.test('a queue limited to packets wakes by packets', async (t) => {
  const nic = new FakeNic({ budget: 1, limits: { lowWatermarkPackets: 1 } });
  for (let i = 0; i < 4; i++) nic.put('small');
  stop(nic);
  const wokenAfter = [1, 2, 3].map(() => (nic.poller.poll(), nic.counter('wakesPoller')));
  t.same(wokenAfter, [0, 0, 1], 'with 3, 2 and 1 packets left');
});

t.test('a frame that goes to the room at that moment keeps it stopped', async (t) => {
  const grants: number[] = [];
  const nic = new FakeNic({
    room: {
      grant: (bytes) => {
        grants.push(bytes);
        // `tx` holds one more while the poller looks the other way.
        nic.control.set32(CONTROL.gate, nic.control.get32(CONTROL.gate) + 2);
        return true;
      },
    },
  });
  nic.control.set64(CONTROL.credit, FRAME_MAX + 1); // the room has more than it should: it has to be closed first
  stop(nic);
  nic.poller.poll();
  t.same(grants, [FRAME_MAX], 'the room was closed');
  t.ok(nic.gate.stopped, 'and the queue not woken');
  t.equal(nic.counter('wakesPoller'), 0);
});

t.test('held frames come out before the queue is woken', async (t) => {
  const grants: number[] = [];
  const ringBytes = 1 << 20;
  const room = {
    grant: (bytes: number): boolean => {
      grants.push(bytes);
      return true;
    },
  };
  const nic = new FakeNic({ ringBytes, room, limits: { lowWatermarkBytes: ringBytes / 2 } });
  nic.control.set32(CONTROL.gate, GATE_STOPPED + 2 * 3); // three held
  t.equal(heldNow(nic.control), 3);
  nic.poller.poll();
  t.equal(grants.length, 1, 'credit is granted');
  t.ok((grants[0] as number) > FRAME_MAX && (grants[0] as number) < ringBytes, 'no more than the ring has place for');
  nic.poller.poll();
  t.equal(grants.length, 1, 'and not twice while the first is not used up');
  t.ok(nic.gate.stopped);

  nic.control.set64(CONTROL.heldOut, 3); // they have come out
  nic.control.set64(CONTROL.heldCost, 3 * (100 + roomFrameCost(0)));
  nic.poller.poll();
  t.same(grants.slice(1), [FRAME_MAX], 'the room is closed');
  t.notOk(nic.gate.stopped, 'and then the queue woken');
  t.equal(nic.counter('wakesPoller'), 1);
});

t.test('a room that refuses a grant keeps the queue stopped', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: { grant: () => false } });
  nic.control.set64(CONTROL.credit, FRAME_MAX + 1);
  stop(nic);
  nic.poller.poll();
  t.ok(nic.gate.stopped);
  t.equal(nic.counter('grants'), 0);
});

t.test('held frames are counted modulo 2^31', async (t) => {
  const nic = new FakeNic();
  nic.control.set64(CONTROL.heldOut, 2 ** 31 * 5 + 2 ** 31 - 2);
  nic.control.set32(CONTROL.gate, ((3 << 1) | GATE_STOPPED) >>> 0); // has wrapped: 3 is 2^31 + 3
  t.equal(heldNow(nic.control), 5);
  nic.control.set64(CONTROL.heldDropped, 5);
  t.equal(heldNow(nic.control), 0);
});

t.test('a qdisc of the user makes two of a held frame: both are counted, and the queue wakes', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: { grant: () => true } });
  nic.control.set32(CONTROL.gate, GATE_STOPPED + 2 * 3); // three held
  nic.control.set64(CONTROL.heldOut, 5); // and two copies
  t.equal(heldNow(nic.control), -2);
  nic.poller.poll();
  t.equal(nic.counter('heldTwice'), 2);
  t.equal(heldNow(nic.control), 0);
  t.notOk(nic.gate.stopped);
});

t.test('a grant never lets out more than the ring has place for', async (t) => {
  const sizes = [256 << 10, 1 << 20, 8 << 20, 256 << 20].map((ringBytes) => ({ ringBytes, frameMax: FRAME_MAX }));
  for (const queue of [...sizes, { ringBytes: 4 << 20, frameMax: roomFrameMax(256 << 10) }]) {
    const { ringBytes, frameMax } = queue;
    const name = `${ringBytes} for frames of ${frameMax}`;
    t.ok(txBytesLimit(queue, 'hold') > 0 && txBytesLimit(queue, 'hold') + headroomBytes(queue) === ringBytes, `${name}: tx leaves headroom`);
    t.equal(txBytesLimit(queue, 'drop'), ringBytes);
    for (const part of [0, 0.1, 0.3, 0.5, 0.9, 1]) {
      const usedBytes = Math.floor(ringBytes * part);
      const grant = nextGrant({ ...queue, usedBytes, queuePackets: 0, packets: 0 }, 0);
      // 9/8 is the most ring that a byte of credit can need.
      t.ok(grant === 0 || usedBytes + ((grant + roomFrameCost(0)) * 9) / 8 <= ringBytes, `${name}, ${part} used: ${grant}`);
    }
    const empty = { ...queue, usedBytes: 0, queuePackets: 0, packets: 0 };
    t.ok(nextGrant(empty, 0) >= frameMax, `${name}: an empty ring takes the largest frame`);
    t.equal(nextGrant(empty, frameMax * 2), 0, 'a grant under way is waited for');
  }
});
