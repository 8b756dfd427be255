// SPDX-License-Identifier: MIT
/** poll(budget) on a made-up ring and socket. */
import t, { type Test } from 'tap';

import { LineQueue, wireBytes } from '../../src/datapath/line-queue';
import { BATCH, CONTROL, VNET } from '../../src/layout';
import { errnoOf } from '../../src/native/libc';
import { FakeNic } from '../helpers/fake-nic';

const minus = (name: string): number => -(errnoOf[name] as number);
const frames = (count: number): string[] => Array.from({ length: count }, (_, i) => `frame ${i} ${'x'.repeat(i)}`);

/** A virtio_net_hdr that asks for nothing. */
const PLAIN = '\0'.repeat(10);

function filled(count: number, budget = 4): { nic: FakeNic; put: string[] } {
  const nic = new FakeNic({ budget });
  const put = frames(count);
  for (const frame of put) if (!nic.put(frame, 'ready', PLAIN)) throw new Error('the ring is too small for this test');
  return { nic, put };
}

/** Every frame that left the ring is counted as sent or as refused. */
function checkBalance(t: Test, nic: FakeNic): void {
  const refused = (['refusedToolong', 'refusedInvalid', 'refusedDown', 'refusedError'] as const).reduce(
    (sum, name) => sum + nic.counter(name),
    0,
  );
  t.equal(nic.counter('rxPackets'), nic.sent.length, 'rx counts what the socket took');
  t.equal(nic.counter('drained'), nic.sent.length + refused, 'what was drained was sent or refused');
  t.equal(nic.counter('reinjectErrors'), refused, 'errors are the sum of the reasons');
  t.equal(nic.counter('captured') - nic.counter('drained'), countInRing(nic), 'the rest is in the ring');
  t.equal(nic.batchWords.get32(BATCH.count), 0, 'no batch is under way');
}

function countInRing(nic: FakeNic): number {
  const leased = nic.reader.lease(1024);
  nic.reader.commit(0);
  return leased;
}

t.test('drains at most the budget, in order, each frame with its header in one piece', async (t) => {
  const { nic, put } = filled(10);
  t.same([nic.poller.poll(), nic.poller.poll(), nic.poller.poll(), nic.poller.poll()], [4, 4, 2, 0]);
  t.same(nic.sent, put);
  t.equal(nic.calls, 3, 'one sendmmsg for each poll that found something');
  t.equal(nic.counter('polls'), 3);
  t.equal(nic.counter('budgetExhausted'), 2);
  t.equal(nic.counter('rxBytes'), put.join('').length);
  t.equal(nic.counter('largestFrame'), Math.max(...put.map((frame) => frame.length)));
  checkBalance(t, nic);
});

t.test('goes on where a partial sendmmsg stopped', async (t) => {
  const { nic, put } = filled(4);
  nic.answers = [1, 2];
  t.equal(nic.poller.poll(), 4);
  t.same(nic.sent, put, 'each frame once');
  t.equal(nic.calls, 3);
  t.equal(nic.counter('reinjectRetries'), 0);
  checkBalance(t, nic);
});

for (const name of ['EAGAIN', 'ENOBUFS', 'ENOMEM', 'EINTR', 'nothing']) {
  const answer = name === 'nothing' ? 0 : minus(name);
  t.test(`${name}: tried again within bounds, then the frames stay in the ring`, async (t) => {
    const { nic, put } = filled(4);
    nic.answers = [2, ...Array<number>(100).fill(answer)];
    t.equal(nic.poller.poll(), 2, 'what was taken before is done');
    t.ok(nic.poller.blocked, 'the poller says that it is stuck');
    t.ok(nic.calls <= 12, `it gives up soon: ${nic.calls} calls`);
    t.equal(nic.counter('reinjectRetries'), nic.calls - 1, 'each try is counted');
    t.equal(nic.counter('enobufs'), name === 'ENOBUFS' ? nic.calls - 1 : 0);
    checkBalance(t, nic);
    nic.answers = [];
    t.equal(nic.poller.poll(), 2, 'the rest goes when it can');
    t.notOk(nic.poller.blocked);
    t.same(nic.sent, put, 'each frame once, in order');
    checkBalance(t, nic);
  });
}

const NEVER: [string, keyof typeof CONTROL][] = [
  ['EMSGSIZE', 'refusedToolong'],
  ['EINVAL', 'refusedInvalid'],
  ['ENETDOWN', 'refusedDown'],
  ['ENXIO', 'refusedDown'],
  ['ENODEV', 'refusedDown'],
  ['EPERM', 'refusedError'],
];
for (const [name, counter] of NEVER) {
  t.test(`${name}: counted as ${counter} and skipped, it does not hold up the others`, async (t) => {
    const { nic, put } = filled(4);
    nic.answers = [1, minus(name)];
    t.equal(nic.poller.poll(), 4);
    t.same(nic.sent, [put[0], put[2], put[3]]);
    t.equal(nic.counter(counter), 1);
    t.notOk(nic.poller.blocked);
    checkBalance(t, nic);
  });
}

t.test('while the link is down nothing waits for a socket that takes nothing', async (t) => {
  const { nic } = filled(4);
  nic.poller.linkDown = true;
  nic.answers = Array<number>(100).fill(minus('EAGAIN'));
  t.equal(nic.poller.poll(), 4);
  t.equal(nic.counter('refusedDown'), 4);
  t.notOk(nic.poller.blocked);
  checkBalance(t, nic);
});

t.test('behind a qdisc that is full: no frame is called impossible, and what it dropped is counted', async (t) => {
  const { nic, put } = filled(4);
  nic.poller.impaired = true;
  nic.answers = [2, ...Array<number>(400).fill(minus('ENOBUFS'))];
  for (let polls = 0; polls < 20; polls++) nic.poller.poll();
  t.equal(nic.counter('refusedInvalid'), 0);
  t.equal(
    nic.counter('enobufs'),
    nic.calls,
    'also where sendmmsg had sent some and did not say why it went no further',
  );
  nic.answers = [];
  nic.poller.poll();
  t.same(nic.sent, put, 'each frame once, in order');
  checkBalance(t, nic);
});

t.test('a line whose queue is full loses what comes, and takes the next when it has sent some', async (t) => {
  const { nic, put } = filled(4);
  nic.poller.impaired = true;
  const line = new LineQueue({ bytesPerSecond: 1, queueMs: 100 });
  nic.poller.line = line;
  nic.answers = [1];
  t.equal(nic.poller.poll(), 4);
  t.same(nic.sent, put.slice(0, 1), 'one byte a second: the first takes longer than the queue may');
  t.equal(nic.counter('impairOverflow'), 3);
  t.equal(nic.counter('reinjectErrors'), 0, 'that is no error');
  nic.poller.line = new LineQueue({ bytesPerSecond: 1e9, queueMs: 100 });
  const before = nic.calls;
  nic.put('more');
  nic.put('most');
  nic.answers = [1, minus('EAGAIN'), 'all'];
  nic.poller.poll();
  t.same(nic.sent.slice(1), ['more', 'most'], 'what the socket does not take now is sent again');
  t.equal(nic.calls - before, 3);
});

t.test('what a line is given: superpackets with the headers of their segments', async (t) => {
  const memory = Buffer.alloc(4096);
  const frame = { memory, at: 6, length: 54 + 12 + 2896 };
  t.equal(wireBytes(frame), frame.length, 'a plain one is as long as it is');
  memory[6 + VNET.gsoType] = 1;
  memory.writeUInt16LE(1448, 6 + VNET.gsoSize);
  memory.writeUInt16LE(34, 6 + VNET.checksumStart);
  memory[16 + 34 + 12] = 8 << 4;
  t.equal(wireBytes(frame), frame.length + 66);
  memory[6 + VNET.gsoType] = 5;
  t.equal(wireBytes({ ...frame, length: 42 + 3 * 1448 }), 42 + 3 * 1448 + 2 * 42, 'of UDP');
});

t.test('a line: what was not sent is taken back, and time frees it', async (t) => {
  const line = new LineQueue({ bytesPerSecond: 1000, queueMs: 50 });
  const frame = { memory: Buffer.alloc(64), at: 0, length: 60 };
  t.ok(line.admits(1000));
  line.add(frame, 1000);
  t.notOk(line.admits(1000));
  t.ok(line.admits(1011), 'up to the queue');
  line.takeBack({ unsentFrame: () => frame }, 0, 1);
  t.ok(line.admits(1000));
});

/** As frames/bad-gso-rate.py makes them: a superpacket of TCP with a partial checksum. */
const SUPERPACKET = '\x01\x01\x36\0\x64\0\x22\0\x10\0';

t.test(
  'superpackets that the kernel cannot segment cost one call each, and those between them pass in the same poll',
  async (t) => {
    const nic = new FakeNic({ budget: 64 });
    const good = frames(12);
    for (const frame of good) {
      nic.put(`bad ${frame}`, 'ready', SUPERPACKET);
      nic.put(frame, 'ready', PLAIN);
    }
    nic.answers = good.flatMap(() => [minus('ENOMEM'), 1]);
    t.equal(nic.poller.poll(), 24);
    t.notOk(nic.poller.blocked);
    t.same(nic.sent, good);
    t.equal(nic.counter('refusedInvalid'), 12);
    t.equal(nic.calls, 24);
    checkBalance(t, nic);
  },
);

t.test('frames longer than the MTU are refused one by one, more of them in a poll than it has tries', async (t) => {
  const nic = new FakeNic({ budget: 64, farEnd: { look: () => true, up: true, mtu: 100, rxDropped: 0 } });
  for (let i = 0; i < 20; i++) nic.put('x'.repeat(119), 'ready', PLAIN);
  nic.put('y'.repeat(118), 'ready', PLAIN);
  nic.answers = Array<number>(20).fill(minus('ENOBUFS'));
  t.equal(nic.poller.poll(), 21);
  t.equal(nic.counter('refusedToolong'), 20);
  t.same(nic.sent, ['y'.repeat(118)]);
  checkBalance(t, nic);
});

t.test('discarded records are passed over, and one that is being written ends the batch', async (t) => {
  const nic = new FakeNic();
  nic.put('first');
  nic.put('thrown away', 'discarded');
  nic.put('second');
  const position = nic.ring.producerPosition;
  nic.put('late', 'busy');
  nic.put('third');
  t.equal(nic.poller.poll(), 2);
  t.same(nic.sent, ['first', 'second']);
  t.equal(nic.poller.poll(), 0, 'nothing passes the one that is being written');
  nic.ring.setState(position, 16 + 'late'.length, 'ready');
  t.equal(nic.poller.poll(), 2);
  t.same(nic.sent.slice(2), ['late', 'third']);
  checkBalance(t, nic);
});

t.test('only discarded records: they are let go of', async (t) => {
  const nic = new FakeNic();
  nic.put('thrown away', 'discarded');
  t.equal(nic.poller.poll(), 0);
  t.equal(nic.reader.available(), 0);
  t.equal(nic.counter('polls'), 0, 'a poll that finds nothing is not counted');
});

t.test('goes round the ring many times without losing one', async (t) => {
  const nic = new FakeNic({ budget: 7, ringBytes: 1024 });
  const put: string[] = [];
  for (let i = 0; i < 500; i++) {
    for (let frame = `${i} ${'y'.repeat((i * 37) % 150)}`; !nic.put(frame);) nic.poller.poll();
    put.push(`${i} ${'y'.repeat((i * 37) % 150)}`);
  }
  while (nic.poller.poll() > 0);
  t.same(nic.sent, put);
  checkBalance(t, nic);
});

t.test('a new poller counts on from where the last one was', async (t) => {
  const { nic, put } = filled(6);
  nic.poller.poll();
  nic.newPoller();
  nic.poller.poll();
  t.same(nic.sent, put);
  t.equal(nic.counter('polls'), 2);
  t.equal(nic.counter('rxBytes'), put.join('').length);
  checkBalance(t, nic);
});
