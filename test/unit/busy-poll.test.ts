// SPDX-License-Identifier: MIT
/** When an idle poller looks on, and when it sleeps at once. Times are in milliseconds. */
import t from 'tap';

import { BusyPoll } from '../../src/datapath/pacing';

/** `count` polls that find frames: how long after the last, how long that takes, how many, and of how many bytes. */
interface Traffic {
  idle: number;
  work: number;
  frames?: number;
  bytes?: number;
}

/** Has it told of so many polls; the time after the last. */
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

/** For how long it looks on, in steps of a microsecond. */
function looksFor(poll: BusyPoll, now: number): number {
  let looked = 0;
  while (looked < 10 && poll.looksOn(now + looked)) looked += 0.001;
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
    t.equal(looksFor(poll, polls(poll, 0, 50, { idle: 0.08, work: 0.01 })), 0, 'a sleep costs less than looking for the next');
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
    t.ok(poll.looksOn(now + 0.03), 'a burst is no stream');
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
    t.ok(poll.looksOn(now + 0.01));
    t.notOk(poll.looksOn(now + 3), 'it was away for three milliseconds');
    now = polls(poll, now + 3, 50, traffic);
    t.equal(looksFor(poll, now), 0, 'it makes way');
    now = polls(poll, now, 2000, traffic);
    t.ok(looksFor(poll, now) > 0, 'for a while');
  });
});

t.test('as told', async (t) => {
  const busy = new BusyPoll(5);
  busy.found(10, 1, 120);
  t.ok(busy.looksOn(10), 'in the turn that has found frames');
  t.ok(busy.looksOn(11), 'which ended with the next');
  t.ok(busy.looksOn(15.9));
  t.notOk(busy.looksOn(16));
  const never = new BusyPoll(0);
  never.found(10, 1, 120);
  t.notOk(never.looksOn(10));
  t.notOk(never.looksOn(12));
});
