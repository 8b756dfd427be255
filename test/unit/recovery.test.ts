// SPDX-License-Identifier: MIT
/** A poller killed at any point of a batch: the next one sends every frame exactly once. */
import { RingReader } from 'libbpf-ts';
import t from 'tap';

import { GATE_STOPPED } from '../../src/datapath/queue-gate';
import { countLostWake, queueTurns, recoverBatch } from '../../src/datapath/recovery';
import { SharedWords } from '../../src/datapath/shared-memory';
import { BATCH, CONTROL } from '../../src/layout';
import { errnoOf } from '../../src/native/libc';
import { type Answer, FakeNic } from '../helpers/fake-nic';

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
    // A kill is thrown from within sendmmsg, so nothing after it in the poller runs.
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
    t.same(
      nic.sent,
      put.filter((_, i) => !(answers.includes(EINVAL) && i === 1)),
      'each frame once, but for the refused',
    );
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

const REFUSE_COUNTS: readonly number[] = [CONTROL.refusedInvalid, CONTROL.reinjectErrors];

t.test('killed while it refused a frame: it is counted once, wherever that was cut off', async (t) => {
  // Each store of refuse() in turn is the last: of the log, the mark, the two counters.
  for (let stores = 0; stores <= 6; stores++) {
    const { nic, put } = killedAfter([1, EINVAL]);
    let left = stores;
    const { set64 } = SharedWords.prototype;
    SharedWords.prototype.set64 = function (this: SharedWords, offset, value) {
      const refusing =
        this === nic.control
          ? REFUSE_COUNTS.includes(offset)
          : offset >= BATCH.refusedMessage && offset <= BATCH.refusedErrors;
      if (refusing && left-- === 0) throw new Error('killed');
      set64.call(this, offset, value);
    };
    if (stores < 6) t.throws(() => nic.poller.poll(), KILLED);
    else nic.poller.poll();
    SharedWords.prototype.set64 = set64;
    const ring = new RingReader(nic.ring);
    recoverBatch({ log: nic.batchWords, control: nic.control, ring });
    nic.answers = [EINVAL];
    const refusedBefore = nic.counter('refusedInvalid');
    nic.newPoller(ring).poll();
    t.equal(
      nic.counter('rxPackets') + nic.counter('refusedInvalid'),
      6,
      `after ${stores} stores: ${refusedBefore} refused by then, all accounted for`,
    );
    t.equal(nic.counter('refusedInvalid'), nic.counter('reinjectErrors'));
    t.equal(nic.sent.length, put.length - nic.counter('refusedInvalid'), 'each of the others once');
  }
});

t.test('a poller killed between waking the queue and counting it', async (t) => {
  const { nic } = killedAfter([]);
  const { control } = nic;
  control.set64(CONTROL.stops, 5);
  control.set64(CONTROL.wakesTx, 1);
  control.set64(CONTROL.wakesPoller, 3);
  countLostWake(control, queueTurns(control));
  t.equal(nic.counter('wakesPoller'), 4, 'one is missing');
  control.set32(CONTROL.gate, GATE_STOPPED);
  control.set64(CONTROL.stops, 6);
  countLostWake(control, queueTurns(control));
  t.equal(nic.counter('wakesPoller'), 4, 'a queue that is stopped is woken later');
  control.set32(CONTROL.gate, 0);
  countLostWake(control, { stopped: false, stops: 5, wakes: 5 });
  t.equal(nic.counter('wakesPoller'), 4, 'a program is at work: it counts by itself');
});
