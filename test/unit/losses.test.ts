// SPDX-License-Identifier: MIT
/**
 * Held frames that will never come are written off, as what they were, and the accounting balances; nothing else is.
 */
import t from 'tap';

import { type HeldQueue, LinkLosses, lookForLostFrames, RefusalNews } from '../../src/controller/losses';
import { framesInRoom, heldFrames, segmentsOnTheWay } from '../../src/datapath/queue-gate';
import { SharedWords } from '../../src/datapath/shared-memory';
import { frameAccounting } from '../../src/datapath/stats';
import { CONTROL } from '../../src/layout';
import { arrive, comeOut, sendToRoom } from '../helpers/held-frames';
import { idleStats } from '../helpers/sample-stats';

const SEGMENTS = 45;

/** Longer than lookForLostFrames() waits, with timers that may be late. */
const LOOK_MS = 300;

class Queue implements HeldQueue {
  readonly control = new SharedWords(new SharedArrayBuffer(CONTROL.size), 0, CONTROL.size);
  /** Frames that the room's qdisc has; null: it is gone. */
  inRoom: number | null = 0;
  waitsBefore = false;
  closing = false;

  waiting(): number | null {
    return this.inRoom;
  }

  waitsOnInterface(): boolean {
    return this.waitsBefore;
  }

  isClosing(): boolean {
    return this.closing;
  }

  /** Looks for lost frames while something happens; returns how many were found. */
  async look(meanwhile = (): void => {}): Promise<number> {
    let lost = 0;
    lookForLostFrames(this, (count) => (lost += count));
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return lost;
  }

  /** What `stats` would say if the frames that came out of the room were received. */
  accounting(): { in: number; out: number; now: number; dropped: number } {
    const { now, dropped, added } = heldFrames(this.control);
    const stats = idleStats();
    const sent = this.control.get64(CONTROL.heldSent);
    const received = this.control.get64(CONTROL.heldOut);
    const sums = frameAccounting({
      ...stats,
      tx: { packets: sent + added, bytes: 0 },
      rx: { packets: received, bytes: 0 },
      held: { ...stats.held, now, dropped },
    });
    return { in: sums.in, out: sums.out, now, dropped };
  }

  get isEmpty(): boolean {
    return segmentsOnTheWay(this.control) === 0 && framesInRoom(this.control) === 0;
  }
}

t.test('superpackets that never arrived are as many frames as were sent', async (t) => {
  const queue = new Queue();
  for (let i = 0; i < 3; i++) sendToRoom(queue, SEGMENTS);
  arrive(queue, SEGMENTS);
  comeOut(queue, 1);
  t.equal(await queue.look(), 2);
  t.same(queue.accounting(), { in: 3, out: 3, now: 0, dropped: 2 });
  t.ok(queue.isEmpty, 'so the room can be closed');
  t.equal(await queue.look(), 0, 'and not a second time');
});

t.test('of one that the kernel has cut up, each piece that is missing is a frame', async (t) => {
  const queue = new Queue();
  sendToRoom(queue, SEGMENTS);
  for (let i = 0; i < SEGMENTS - 5; i++) arrive(queue);
  comeOut(queue, SEGMENTS - 5);
  t.equal(await queue.look(), 5);
  t.same(
    queue.accounting(),
    { in: SEGMENTS, out: SEGMENTS, now: 0, dropped: 5 },
    'it was transmitted as that many frames',
  );
  t.ok(queue.isEmpty);
});

t.test('pieces that are missing, and then a whole one, while others are in the room', async (t) => {
  const queue = new Queue();
  sendToRoom(queue, SEGMENTS);
  for (let i = 0; i < SEGMENTS - 1; i++) arrive(queue);
  queue.inRoom = SEGMENTS - 1;
  t.equal(await queue.look(), 1);
  t.same(queue.accounting(), { in: SEGMENTS, out: SEGMENTS, now: SEGMENTS - 1, dropped: 1 });
  sendToRoom(queue, SEGMENTS);
  t.equal(await queue.look(), SEGMENTS, 'nobody can know any more that it was whole');
  comeOut(queue, SEGMENTS - 1);
  t.same(queue.accounting(), { in: 2 * SEGMENTS, out: 2 * SEGMENTS, now: 0, dropped: SEGMENTS + 1 });
  t.ok(queue.isEmpty);
});

t.test('frames that the room itself has dropped', async (t) => {
  const queue = new Queue();
  for (let i = 0; i < 10; i++) sendToRoom(queue);
  for (let i = 0; i < 10; i++) arrive(queue);
  comeOut(queue, 2);
  queue.inRoom = 5;
  t.equal(await queue.look(), 3);
  t.same(queue.accounting(), { in: 10, out: 10, now: 5, dropped: 3 });
  queue.inRoom = null;
  t.equal(await queue.look(), 5, 'all that were in one that is gone');
  t.same(queue.accounting(), { in: 10, out: 10, now: 0, dropped: 8 });
  t.ok(queue.isEmpty);
});

t.test('lost on the way and in the room, at once', async (t) => {
  const queue = new Queue();
  for (let i = 0; i < 4; i++) sendToRoom(queue, SEGMENTS);
  for (let i = 0; i < 3; i++) arrive(queue, SEGMENTS);
  queue.inRoom = 1;
  t.equal(await queue.look(), 3);
  t.same(queue.accounting(), { in: 4, out: 4, now: 1, dropped: 3 });
});

t.test('copies are not lost, and do not stand for those that are', async (t) => {
  const queue = new Queue();
  const { control } = queue;
  for (let i = 0; i < 2; i++) sendToRoom(queue);
  for (let i = 0; i < 3; i++) arrive(queue);
  queue.inRoom = 3;
  t.equal(segmentsOnTheWay(control), -1);
  t.equal(await queue.look(), 0, 'more than were sent are in the room');
  t.same(queue.accounting(), { in: 3, out: 3, now: 3, dropped: 0 });
  control.set64(CONTROL.heldTwice, 1); // the poller has seen the copy
  sendToRoom(queue);
  t.equal(await queue.look(), 1);
  t.same(queue.accounting(), { in: 4, out: 4, now: 3, dropped: 1 });
});

t.test('one that comes after all counts as a copy', async (t) => {
  const queue = new Queue();
  sendToRoom(queue, SEGMENTS);
  t.equal(await queue.look(), 1);
  arrive(queue, SEGMENTS);
  t.equal(segmentsOnTheWay(queue.control), -SEGMENTS);
  comeOut(queue, 1);
  t.same(queue.accounting(), { in: 2, out: 2, now: 0, dropped: 1 });
});

t.test('while a qdisc of the user holds frames back, only the room is looked at', async (t) => {
  const queue = new Queue();
  queue.waitsBefore = true;
  for (let i = 0; i < 3; i++) sendToRoom(queue, SEGMENTS);
  arrive(queue, SEGMENTS);
  t.equal(await queue.look(), 1, 'what the room has dropped');
  t.same(queue.accounting(), { in: 3, out: 3, now: 2, dropped: 1 });
  queue.waitsBefore = false;
  t.equal(await queue.look(), 2, 'the rest once it is empty');
  t.same(queue.accounting(), { in: 3, out: 3, now: 0, dropped: 3 });
});

for (const [what, move] of [
  ['one is sent', (queue: Queue) => sendToRoom(queue)],
  ['one arrives', (queue: Queue) => arrive(queue)],
  ['one comes out', (queue: Queue) => comeOut(queue, 1)],
  ['the queue is woken', (queue: Queue) => queue.control.set32(CONTROL.gate, queue.control.get32(CONTROL.gate) & ~1)],
  ['the interface is being detached', (queue: Queue) => (queue.closing = true)],
] as const) {
  t.test(`nothing is written off when ${what} meanwhile`, async (t) => {
    const queue = new Queue();
    for (let i = 0; i < 5; i++) sendToRoom(queue);
    for (let i = 0; i < 3; i++) arrive(queue);
    comeOut(queue, 1);
    t.equal(await queue.look(() => move(queue)), 0);
    t.equal(queue.accounting().dropped, 0);
    t.equal(queue.accounting().in, queue.accounting().out);
  });
}

t.test('nor when one moves while the qdisc is asked', async (t) => {
  const queue = new Queue();
  sendToRoom(queue);
  arrive(queue);
  queue.waiting = () => {
    comeOut(queue, 1); // it has left the qdisc, and is not lost
    return 0;
  };
  t.equal(await queue.look(), 0);
  t.same(queue.accounting(), { in: 1, out: 1, now: 0, dropped: 0 });
});

t.test('what waits in the room is not lost', async (t) => {
  const queue = new Queue();
  for (let i = 0; i < 5; i++) sendToRoom(queue);
  for (let i = 0; i < 5; i++) arrive(queue);
  queue.inRoom = 7; // two are kicks
  t.equal(await queue.look(), 0);
  t.same(queue.accounting(), { in: 5, out: 5, now: 5, dropped: 0 });
});

// What happened to the link meanwhile shows why frames are missing on the reinject path.

function setUp() {
  const losses = { down: 0, toolong: 0 };
  const state = { taken: 0, saves: 0 };
  const kept = new LinkLosses(
    losses,
    () => Math.max(0, state.taken - losses.down - losses.toolong),
    () => state.saves++,
  );
  return { losses, state, kept, lose: (count: number) => void (state.taken += count) };
}

t.test('what was missing before a change is not its fault, what is missing after it is', async (t) => {
  const { losses, state, kept, lose } = setUp();
  lose(7);
  kept.look();
  kept.changed('down');
  lose(500);
  kept.look();
  t.same(losses, { down: 500, toolong: 0 });
  lose(18);
  kept.look();
  t.same(losses, { down: 518, toolong: 0 }, 'also what comes out a little later');
  t.equal(state.saves, 2, 'written down each time');
});

t.test('long after a change it is a backlog again', async (t) => {
  const { losses, state, kept, lose } = setUp();
  kept.changed('toolong');
  for (let i = 0; i < 4; i++) kept.look();
  lose(5);
  kept.look();
  t.same(losses, { down: 0, toolong: 0 });
  t.equal(state.saves, 0);
  kept.changed('toolong');
  lose(2);
  kept.look();
  t.same(losses, { down: 0, toolong: 2 }, 'and stays so when the next change comes');
});

// When frames that a changed interface refused are logged.

/** The first reading is the one from before; the interface changes before the look number `change`. */
function newsOf(readings: readonly number[], change = 1): string[] {
  const said: string[] = [];
  let at = 0;
  const news = new RefusalNews(
    () => ({ down: readings[at] as number, toolong: 0 }),
    (what) => said.push(what),
  );
  while (++at < readings.length) {
    if (at === change) news.changed();
    news.look();
  }
  return said;
}

t.test('a burst is said once it is over', (t) => {
  t.same(newsOf([5, 5, 5]), [], 'what was there before is no news');
  t.same(newsOf([5, 8, 20, 20, 20]), ['15 frames: down 15'], 'in one number');
  t.same(newsOf([0, 3, 3, 4, 4]), ['3 frames: down 3', '1 frames: down 1'], 'and the next one anew');
  t.end();
});

t.test('what is refused without a change is no news', (t) => {
  t.same(newsOf([0, 7, 7, 9, 9], Infinity), []);
  t.same(newsOf([0, 7, 7, 9, 9], 3), ['2 frames: down 2'], 'nor what was before it');
  t.end();
});

t.test('what does not stop is said after ten looks, and at the end of the time', (t) => {
  t.same(newsOf(Array.from({ length: 30 }, (_, i) => i)), ['10 frames: down 10', '5 frames: down 5']);
  t.end();
});
