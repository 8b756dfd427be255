// SPDX-License-Identifier: MIT
/** A poller killed at any point of a batch: the next one sends every frame exactly once. */
import { RingReader } from 'libbpf-ts';
import t from 'tap';

import { BATCH } from '../../src/datapath/layout';
import { recoverBatch } from '../../src/datapath/recover';
import { errnoOf } from '../../src/native/libc';
import { FakeNic, type Answer } from '../helpers/fake-nic';

const KILL: Answer = Number.NaN;
const EINVAL = -(errnoOf['EINVAL'] as number);

/** The socket kills its caller instead of answering. */
const KILLED = { message: 'killed' };

function killedAfter(answers: Answer[]): { nic: FakeNic; put: string[] } {
  const nic = new FakeNic({ budget: 8 });
  const put = Array.from({ length: 6 }, (_, i) => `frame ${i}`);
  for (const frame of put) nic.put(frame);
  nic.answers = [...answers];
  return { nic, put };
}

const CASES: [string, Answer[], number, number][] = [
  ['before anything was sent', [KILL], 0, 0],
  ['after some were sent', [2, KILL], 2, 2],
  ['after one was refused', [1, EINVAL, 1, KILL], 3, 2],
];

for (const [when, answers, done, sent] of CASES) {
  t.test(`killed ${when}`, async (t) => {
    const { nic, put } = killedAfter(answers);
    // A kill is thrown from within sendmmsg: nothing behind it in the poller runs.
    const answer = nic.answers.shift.bind(nic.answers);
    nic.answers.shift = () => {
      const next = answer();
      if (Number.isNaN(next)) throw new Error('killed');
      return next;
    };
    t.throws(() => nic.poller.poll(), KILLED);
    t.equal(nic.batchWords.get32(BATCH.count), 6, 'the log says that six were under way');

    const ring = new RingReader(nic.ring); // the next process has a reader of its own
    const recover = (): number => recoverBatch({ log: nic.batchWords, control: nic.control, ring });
    t.equal(recover(), done, 'it finds how far the batch came');
    t.equal(nic.counter('drained'), done);
    t.equal(nic.counter('rxPackets'), sent);
    t.equal(nic.counter('rxBytes'), nic.sent.join('').length);
    t.equal(recover(), 0, 'a second look finds nothing to do');
    t.equal(nic.counter('drained'), done);

    nic.answers = [];
    nic.newPoller(ring).poll();
    t.same(nic.sent, put.filter((_, i) => !(answers.includes(EINVAL) && i === 1)), 'each frame once, but for the refused');
    t.equal(nic.counter('drained'), 6);
    t.equal(nic.counter('rxPackets') + nic.counter('refusedInvalid'), 6, 'all are accounted for');
  });
}

t.test('killed after the ring was told, before the counters were', async (t) => {
  const { nic, put } = killedAfter([]);
  // commit() is the point of no return: the counters come after it.
  const commit = nic.reader.commit.bind(nic.reader);
  nic.reader.commit = (count) => {
    commit(count);
    throw new Error('killed');
  };
  t.throws(() => nic.poller.poll(), KILLED);
  const ring = new RingReader(nic.ring);
  t.equal(recoverBatch({ log: nic.batchWords, control: nic.control, ring }), 6);
  t.equal(nic.counter('drained'), 6);
  t.equal(nic.counter('rxPackets'), 6);
  t.equal(nic.newPoller(ring).poll(), 0, 'nothing is sent again');
  t.same(nic.sent, put);
});
