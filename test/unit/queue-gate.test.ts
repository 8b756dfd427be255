// SPDX-License-Identifier: MIT
/** When the stopped queue is woken, without a waiting room and with one. */
import t from 'tap';

import { framesInRoom, GATE_STOPPED, heldFrames, segmentsOnTheWay } from '../../src/datapath/queue-gate';
import { CONTROL } from '../../src/layout';
import { nextGrant, roomFrameCost, roomFrameMax, txBytesLimit, headroomBytes } from '../../src/link/credit';
import { FakeNic } from '../helpers/fake-nic';
import { arrive, comeOut, sendToRoom } from '../helpers/held-frames';

const FRAME_MAX = roomFrameMax(64 << 10);
const stop = (nic: FakeNic): void => nic.control.set32(CONTROL.gate, nic.control.get32(CONTROL.gate) | GATE_STOPPED);
const OPEN = { fill: (): boolean => true, kick: (): void => undefined };
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
      ...OPEN,
      fill: (bytes) => {
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
    ...OPEN,
    fill: (bytes: number): boolean => {
      grants.push(bytes);
      return true;
    },
  };
  const nic = new FakeNic({ ringBytes, room, limits: { lowWatermarkBytes: ringBytes / 2 } });
  for (let i = 0; i < 3; i++) sendToRoom(nic);
  for (let i = 0; i < 3; i++) arrive(nic);
  t.equal(heldFrames(nic.control).now, 3);
  nic.poller.poll();
  t.equal(grants.length, 1, 'credit is granted');
  t.ok((grants[0] as number) > FRAME_MAX && (grants[0] as number) < ringBytes, 'no more than the ring has place for');
  nic.poller.poll();
  t.equal(grants.length, 1, 'and not twice while the first is not used up');
  t.ok(nic.gate.stopped);

  comeOut(nic, 3);
  nic.poller.poll();
  t.same(grants.slice(1), [FRAME_MAX], 'the room is closed');
  t.notOk(nic.gate.stopped, 'and then the queue woken');
  t.equal(nic.counter('wakesPoller'), 1);
});

t.test('a room that refuses a grant keeps the queue stopped', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: { ...OPEN, fill: () => false } });
  nic.control.set64(CONTROL.credit, FRAME_MAX + 1);
  stop(nic);
  nic.poller.poll();
  t.ok(nic.gate.stopped);
  t.equal(nic.counter('grants'), 0);
});

t.test('segments on the way are counted in full, frames in the room modulo 2^32', async (t) => {
  const nic = new FakeNic();
  nic.control.set64(CONTROL.heldArrived, 2 ** 31 * 5 + 2 ** 31 - 2);
  nic.control.set64(CONTROL.heldSegments, 2 ** 31 * 6 + 3);
  t.equal(segmentsOnTheWay(nic.control), 5);
  nic.control.set64(CONTROL.heldMissing, 5);
  t.equal(segmentsOnTheWay(nic.control), 0);
  nic.control.set64(CONTROL.heldIn, 2 ** 33 + 1);
  nic.control.set64(CONTROL.heldOut, 2 ** 33 - 4);
  t.equal(framesInRoom(nic.control), 5);
});

for (const segments of [2 ** 30, 1.5 * 2 ** 30, 2 ** 31, 2 ** 32 + 1]) {
  t.test(`${segments} segments that never arrived keep it stopped until they are written off`, async (t) => {
    const nic = new FakeNic({ room: OPEN });
    for (let left = segments; left > 0; left -= 2 ** 30) sendToRoom(nic, Math.min(left, 2 ** 30));
    nic.poller.poll();
    t.ok(nic.gate.stopped);
    t.equal(segmentsOnTheWay(nic.control), segments);
    t.equal(nic.counter('heldTwice'), 0, 'they are not taken for copies of others');
    nic.control.set64(CONTROL.heldMissing, segments);
    nic.poller.poll();
    t.notOk(nic.gate.stopped);
  });
}

t.test('a superpacket that the kernel cuts up behind tx keeps the room open until its last piece is out', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  sendToRoom(nic, 3);
  t.same(heldFrames(nic.control), { now: 1, total: 1, dropped: 0, added: 0 }, 'it is sent as one frame');
  for (let piece = 0; piece < 3; piece++) {
    t.ok(segmentsOnTheWay(nic.control) > 0);
    arrive(nic);
    comeOut(nic, 1);
    t.ok(nic.gate.stopped, `piece ${piece} alone does not wake the queue`);
    nic.poller.poll();
  }
  t.notOk(nic.gate.stopped, 'the last one does');
  t.same(
    heldFrames(nic.control),
    { now: 0, total: 3, dropped: 0, added: 2 },
    'two more frames were transmitted than tx counted',
  );
});

t.test('one that arrives whole is one frame', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  sendToRoom(nic, 3);
  arrive(nic, 3);
  nic.poller.poll();
  t.ok(nic.gate.stopped, 'it is in the room');
  comeOut(nic, 1);
  nic.poller.poll();
  t.notOk(nic.gate.stopped);
  t.same(heldFrames(nic.control), { now: 0, total: 1, dropped: 0, added: 0 });
});

t.test('the total of held frames stays what was sent while frames come out between two reads', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  for (let i = 0; i < 5; i++) sendToRoom(nic);
  for (let i = 0; i < 5; i++) arrive(nic);
  const { control } = nic;
  const read = control.get64.bind(control);
  let out = 0;
  control.get64 = (offset) => {
    if (out++ < 5) control.set64(CONTROL.heldOut, out);
    return read(offset);
  };
  t.equal(heldFrames(control).total, 5);
  t.equal(out > 1, true, 'some came out meanwhile');
});

t.test('a qdisc of the user makes two of a held frame: both are counted, and the queue wakes', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  for (let i = 0; i < 3; i++) sendToRoom(nic);
  for (let i = 0; i < 5; i++) arrive(nic); // and two copies
  t.equal(segmentsOnTheWay(nic.control), -2);
  nic.poller.poll();
  t.ok(nic.gate.stopped, 'all five are in the room');
  comeOut(nic, 5);
  nic.poller.poll();
  t.equal(nic.counter('heldTwice'), 2);
  t.same(heldFrames(nic.control), { now: 0, total: 5, dropped: 0, added: 2 });
  t.notOk(nic.gate.stopped);
});

t.test('a copy that comes while the queue is being woken stops it again', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  sendToRoom(nic);
  arrive(nic);
  comeOut(nic, 1);
  const replace = nic.control.replace32.bind(nic.control);
  nic.control.replace32 = (...args) => {
    arrive(nic); // `sink` has seen a queue that is stopped still
    nic.control.replace32 = replace;
    return replace(...args);
  };
  nic.poller.poll();
  t.same(
    { stopped: nic.gate.stopped, wakes: nic.counter('wakesPoller'), stops: nic.counter('stops') },
    { stopped: true, wakes: 1, stops: 1 },
  );
  comeOut(nic, 1);
  nic.poller.poll();
  t.notOk(nic.gate.stopped, 'until it is out');
});

t.test('whoever takes over a queue that runs, with a frame in the room, stops it', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  arrive(nic); // a copy; the poller was killed between waking the queue and its second look
  nic.newGate();
  t.same({ stopped: nic.gate.stopped, stops: nic.counter('stops') }, { stopped: true, stops: 1 });
});

t.test('a kill while a grant is made leaves no less on record than may come out', async (t) => {
  const killed = (): never => {
    throw new Error('killed');
  };
  const nic = new FakeNic({ ringBytes: 1 << 20, room: { ...OPEN, fill: killed } });
  nic.control.set64(CONTROL.credit, 50_000);
  nic.control.set64(CONTROL.creditBase, 1_000);
  nic.control.set64(CONTROL.heldCost, 31_000); // 20,000 are left, and what a frame costs
  sendToRoom(nic);
  arrive(nic);
  t.throws(() => nic.poller.poll(), { message: 'killed' });
  const left = nic.counter('credit') - (nic.counter('heldCost') - nic.counter('creditBase'));
  t.ok(left >= FRAME_MAX + 20_000, `${left} bytes`);
});

t.test('a grant never lets out more than the ring has place for', async (t) => {
  const sizes = [256 << 10, 1 << 20, 8 << 20, 256 << 20].map((ringBytes) => ({ ringBytes, frameMax: FRAME_MAX }));
  for (const queue of [...sizes, { ringBytes: 4 << 20, frameMax: roomFrameMax(256 << 10) }]) {
    const { ringBytes, frameMax } = queue;
    const name = `${ringBytes} for frames of ${frameMax}`;
    t.ok(
      txBytesLimit(queue, 'hold') > 0 && txBytesLimit(queue, 'hold') + headroomBytes(queue) === ringBytes,
      `${name}: tx leaves headroom`,
    );
    t.equal(txBytesLimit(queue, 'drop'), ringBytes);
    for (const part of [0, 0.1, 0.3, 0.5, 0.9, 1]) {
      const usedBytes = Math.floor(ringBytes * part);
      const grant = nextGrant({ ...queue, usedBytes, queuePackets: 0, packets: 0 }, 0);
      // 9/8 is the most ring that a byte of credit can need.
      t.ok(
        grant === 0 || usedBytes + ((grant + roomFrameCost(0)) * 9) / 8 <= ringBytes,
        `${name}, ${part} used: ${grant}`,
      );
    }
    const empty = { ...queue, usedBytes: 0, queuePackets: 0, packets: 0 };
    t.ok(nextGrant(empty, 0) >= frameMax, `${name}: an empty ring takes the largest frame`);
    t.equal(nextGrant(empty, frameMax * 2), 0, 'a grant under way is waited for');
  }
});

t.test('a queue of a few packets', async (t) => {
  for (const superpacketBytes of [64 << 10, 256 << 10]) {
    const frameMax = roomFrameMax(superpacketBytes);
    for (let queuePackets = 1; queuePackets < 20; queuePackets++) {
      const empty = { ringBytes: 8 << 20, frameMax, usedBytes: 0, queuePackets, packets: 0 };
      t.ok(
        nextGrant(empty, 0) >= frameMax,
        `${queuePackets} packets, ${superpacketBytes} bytes: an empty one is granted`,
      );
    }
  }
});

t.test('kicks of an earlier burst', async (t) => {
  const nic = new FakeNic({ ringBytes: 1 << 20, room: OPEN });
  const look = (kicks: number): boolean[] =>
    Array.from({ length: kicks }, () => {
      nic.control.increment64(CONTROL.kicksOut);
      return nic.gate.roomMoved();
    });
  nic.control.set64(CONTROL.grants, 1000);
  t.notOk(look(500).includes(false), 'as long as they are known to wait in the room, it is not silent');
  nic.control.set64(CONTROL.grants, 500);
  t.same(look(1), [false], 'behind all of them the room may hold nothing else');
});
