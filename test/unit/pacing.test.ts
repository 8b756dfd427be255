// SPDX-License-Identifier: MIT
/** When an idle poller busy-polls, and when it sleeps at once. Times are in milliseconds. */
import t from 'tap';

import { BusyPoll, Moderation, REST_FRAMES } from '../../src/datapath/pacing';

/** `count` polls that find frames: how long after the last, how long that takes, how many, and of how many bytes. */
interface Traffic {
  idle: number;
  work: number;
  frames?: number;
  bytes?: number;
}

/** Tells it of `count` polls; returns the time after the last. */
function polls(poll: BusyPoll, from: number, count: number, { idle, work, frames = 1, bytes = 120 }: Traffic): number {
  let now = from;
  for (let i = 0; i < count; i++) {
    now += idle;
    poll.found(now, frames, bytes);
    now += work;
    poll.worked(now);
  }
  return now;
}

/** For how long it busy-polls, in steps of a microsecond. */
function looksFor(poll: BusyPoll, now: number): number {
  let looked = 0;
  while (looked < 10 && poll.keepsPolling(now + looked)) looked += 0.001;
  return looked;
}

t.test('of itself', async (t) => {
  await t.test('frames one by one, as in a ping-pong', async (t) => {
    const poll = new BusyPoll(null);
    const looked = looksFor(poll, polls(poll, 0, 50, { idle: 0.03, work: 0.006 }));
    t.ok(looked > 0.09 && looked < 0.11, `a tenth of a millisecond: ${looked}`);
  });

  await t.test('rare frames, as of ping', async (t) => {
    const poll = new BusyPoll(null);
    t.equal(looksFor(poll, polls(poll, 0, 50, { idle: 1000, work: 0.01 })), 0);
    t.equal(
      looksFor(poll, polls(poll, 0, 50, { idle: 0.08, work: 0.01 })),
      0,
      'a sleep costs less than looking for the next',
    );
  });

  await t.test('more work than pause', async (t) => {
    const poll = new BusyPoll(null);
    t.equal(looksFor(poll, polls(poll, 0, 50, { idle: 0.01, work: 0.05 })), 0, 'batches grow while it sleeps');
  });

  await t.test('many at a time', async (t) => {
    const poll = new BusyPoll(null);
    let now = polls(poll, 0, 50, { idle: 0.03, work: 0.006, frames: 8 });
    t.equal(looksFor(poll, now), 0, 'a stream of datagrams');
    now = polls(poll, now, 50, { idle: 0.03, work: 0.006, bytes: 65536 });
    t.equal(looksFor(poll, now), 0, 'a stream of superpackets');
    now = polls(poll, now, 50, { idle: 0.03, work: 0.006 });
    t.ok(looksFor(poll, now) > 0, 'one by one again');
    poll.found(now + 0.03, 32, 20000);
    t.ok(poll.keepsPolling(now + 0.03), 'a burst is no stream');
  });

  await t.test('the first frames, and what comes after a pause', async (t) => {
    const poll = new BusyPoll(null);
    t.equal(looksFor(poll, 0), 0, 'nothing has come yet');
    let now = polls(poll, 0, 3, { idle: 0.03, work: 0.006 });
    t.equal(looksFor(poll, now), 0, 'three frames are no pattern');
    now = polls(poll, now, 30, { idle: 0.03, work: 0.006 });
    t.ok(looksFor(poll, now) > 0);
    now = polls(poll, now, 1, { idle: 5000, work: 0.006 });
    t.equal(looksFor(poll, now), 0, 'a pause ends it');
  });

  await t.test('somebody else needs the processor', async (t) => {
    const poll = new BusyPoll(null);
    const traffic = { idle: 0.03, work: 0.006 };
    let now = polls(poll, 0, 50, traffic);
    t.ok(poll.keepsPolling(now + 0.01));
    t.notOk(poll.keepsPolling(now + 3), 'it was away for three milliseconds');
    now = polls(poll, now + 3, 50, traffic);
    t.equal(looksFor(poll, now), 0, 'it makes way');
    now = polls(poll, now, 2000, traffic);
    t.ok(looksFor(poll, now) > 0, 'for a while');
  });
});

t.test('as told', async (t) => {
  const busy = new BusyPoll(5);
  busy.found(10, 1, 120);
  t.ok(busy.keepsPolling(10), 'in the turn that has found frames');
  t.ok(busy.keepsPolling(11), 'which ended with the next');
  t.ok(busy.keepsPolling(15.9));
  t.notOk(busy.keepsPolling(16));
  const never = new BusyPoll(0);
  never.found(10, 1, 120);
  t.notOk(never.keepsPolling(10));
  t.notOk(never.keepsPolling(12));
});

// When the poller rests in a stream. Times are in milliseconds.

/** What a poll costs, and how much later than asked a rest ends. */
const POLL_MS = 0.01;
const LATE_MS = 0.05;

/** Traffic that does not care when it is polled: frames come at this rate in thousands a second. */
class Stream {
  now = 0;
  /** Every rest that was asked for. */
  readonly rests: number[] = [];
  private taken = 0;

  constructor(private readonly moderation: Moderation) {}

  run(rate: number, ms: number): this {
    for (const start = this.now; this.now < start + ms;) {
      const began = this.now;
      const frames = Math.min(64, Math.floor(this.now * rate) - this.taken);
      this.taken += frames;
      this.now += POLL_MS + 0.001 * frames;
      this.rest(this.moderation.after(began, frames, frames === 64));
    }
    return this;
  }

  /** Several senders, each of which sends its next when the last has been delivered and `think` has passed. */
  answers(senders: number, think: number, ms: number): this {
    for (const start = this.now; this.now < start + ms;) {
      const began = this.now;
      this.now += POLL_MS + 0.001 * senders;
      this.rest(this.moderation.after(began, senders, false));
      this.now += think;
    }
    return this;
  }

  private rest(rest: number): void {
    if (rest === 0) return;
    this.rests.push(rest);
    this.now += rest + LATE_MS;
  }
}

t.test('a stream of small frames: it rests for as long as a batch takes to come', async (t) => {
  const stream = new Stream(new Moderation(true)).run(200, 10);
  const rests = stream.rests.length;
  t.ok(rests > 20, `${rests} times in 10 ms`);
  const last = stream.rests.at(-1) as number;
  t.ok(last > 0.1 && last < 0.2, `${REST_FRAMES} frames in ${last} ms`);
});

t.test('a slower one is polled as it comes', async (t) => {
  t.same(new Stream(new Moderation(true)).run(100, 10).rests, [], '100,000 frames a second');
  const stream = new Stream(new Moderation(true)).run(200, 10);
  const { length } = stream.rests;
  stream.run(50, 20);
  t.ok(stream.rests.length - length < 5, 'it notices soon');
});

t.test('who waits for an answer is not kept waiting', async (t) => {
  const lone = new Stream(new Moderation(true)).answers(1, 0.012, 100);
  t.same(lone.rests, [], 'one: 45,000 frames a second');
  for (const senders of [4, 8]) {
    const stream = new Stream(new Moderation(true)).answers(senders, 0.01, 1000);
    t.ok(stream.rests.length > 0, `${senders} look like a stream`);
    t.ok(stream.rests.length <= 12, `but ${stream.rests.length} rests in a second show that they are none`);
  }
  const stream = new Stream(new Moderation(true)).answers(8, 0.01, 100).run(200, 100);
  t.ok(stream.rests.length > 100, 'after such a mistake it recognizes a stream');
});

t.test('a stream that ends in a rest', async (t) => {
  const moderation = new Moderation(true);
  const stream = new Stream(moderation).run(200, 10);
  t.equal(moderation.after(stream.now, 0, false), 0, 'nothing came: no rest');
  t.equal(moderation.after(stream.now + 1000, 1, false), 0, 'one frame, much later: no rest');
});

t.test('a poll that used up its budget is followed by the next', async (t) => {
  const moderation = new Moderation(true);
  moderation.after(0, 1, false);
  for (let i = 1; i < 100; i++) t.equal(moderation.after(i * 0.3, 64, true), 0);
  t.ok(moderation.after(30, 40, false) > 0, 'until one did not: all of them together were a stream');
});

t.test('switched off', async (t) => {
  t.same(new Stream(new Moderation(false)).run(200, 10).rests, []);
});
