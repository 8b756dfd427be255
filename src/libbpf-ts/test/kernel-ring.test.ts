// SPDX-License-Identifier: MIT
import t from 'tap';
import { Worker } from 'node:worker_threads';
import { BpfMap, BpfObject, MapType, RingBuffer, ringUsage, RingWaiter, wakeWaiter } from '../src/index';
import { compile, packet, skipUnlessRoot } from './helpers/machine';

t.test('ring buffers', { skip: skipUnlessRoot }, async (t) => {
  const object = BpfObject.open(compile('basic'));
  object.load();
  const map = object.map('ring');
  const emit = object.program('emit');
  t.teardown(() => [object, map, emit].forEach((handle) => handle.close()));
  const send = (length: number, first = 0): number => emit.testRun({ data: packet(length, first) }).retval;

  t.test('records from a program, across the wrap, until it is full', async (t) => {
    using ring = new RingBuffer(map);
    const { reader } = ring;
    t.equal(ring.size, 4096);
    t.equal(ring.data.length, 8192);
    t.ok(ring.dataAddress > 0);
    const view = new DataView(ring.data.buffer, ring.data.byteOffset);
    t.equal(reader.isEmpty(), true);
    let wrapped = 0;
    const rounds = Array.from({ length: 200 }, (_, round) => {
      const sent: number[] = [];
      for (let i = 0; i < 3; i++) {
        if (round % 5 === i) sent.push(send(64, 0xdd));
        sent.push(send(100 + round + i, round & 0x7f));
      }
      const count = reader.lease(64);
      const lengths = Array.from({ length: count }, (_, i) => view.getUint32(reader.offsets[i]! + 16, true));
      const first = ring.data[reader.offsets[0]!];
      if (reader.offsets[count - 1]! + 64 > ring.size) wrapped++;
      reader.commit(count);
      return { sent, lengths, first, empty: reader.isEmpty() };
    });
    // In three of five rounds one is discarded (2); the others come out whole.
    const expected = (_: unknown, round: number): (typeof rounds)[number] => ({
      sent: [0, 1, 2].flatMap((i) => (round % 5 === i ? [2, 0] : [0])),
      lengths: [0, 1, 2].map((i) => 100 + round + i),
      first: round & 0x7f,
      empty: true,
    });
    t.strictSame(rounds, rounds.map(expected), 'what was sent, without what was discarded');
    t.ok(wrapped > 0, 'some records wrapped');

    let sent = 0;
    while (send(64) === 0) sent++;
    // The kernel keeps one byte of the ring free (kernel/bpf/ringbuf.c: "> rb->mask").
    t.equal(sent, Math.floor(4095 / 72), 'full');
    t.equal(reader.lease(10), 10);
    reader.commit(10);
    t.equal(send(64), 0, 'there is space again');
    let drained = 0;
    for (let n; (n = reader.lease(64)) > 0; reader.commit(n)) drained += n;
    t.equal(drained, sent - 9);
  });

  t.test('a second mapping goes on where the first one committed', async (t) => {
    send(64);
    send(65);
    {
      using first = new RingBuffer(map);
      t.equal(first.reader.lease(1), 1);
      first.reader.commit(1);
    }
    using second = new RingBuffer(map.fd);
    t.equal(second.reader.lease(8), 1);
    second.reader.commit(1);
  });

  t.test('views of a closed ring are harmless', async (t) => {
    using ring = new RingBuffer(map);
    const { data, reader } = ring;
    send(64);
    ring.close();
    ring.close();
    t.equal(data[8], 0);
    reader.lease(8);
    reader.commit(8);
    using again = new RingBuffer(map);
    t.equal(again.reader.lease(8), 1, 'the record is still there');
    again.reader.commit(1);
  });

  t.test('waiting', async (t) => {
    using ring = new RingBuffer(map);
    using waiter = new RingWaiter(map);
    t.equal(waiter.wait(0), 0, 'time-out');
    waiter.wake();
    t.equal(waiter.wait(-1), RingWaiter.WAKE);
    t.equal(waiter.wait(0), 0, 'the wake-up is consumed');
    send(64);
    t.equal(waiter.wait(1000), RingWaiter.RING);
    wakeWaiter(waiter.wakeFd);
    t.equal(waiter.wait(1000), RingWaiter.RING | RingWaiter.WAKE);
    ring.reader.commit(ring.reader.lease(8));
    t.equal(waiter.wait(0), 0, 'drained');
    using other = new RingWaiter();
    waiter.add(other.wakeFd, 8);
    other.wake();
    t.equal(waiter.wait(1000), 8);
    waiter.close();
    waiter.close();
    waiter.wake();
    t.throws(() => waiter.wait(0), { code: 'BPF_USAGE' });
  });

  t.test('another thread ends a wait', async (t) => {
    using waiter = new RingWaiter();
    const code = `const { wakeFd } = require('node:worker_threads').workerData;
      setTimeout(() => require('node:fs').writeSync(wakeFd, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])), 50);`;
    const worker = new Worker(code, { eval: true, execArgv: [], workerData: { wakeFd: waiter.wakeFd } });
    await new Promise((resolve) => worker.once('online', resolve));
    t.equal(waiter.wait(10_000), RingWaiter.WAKE);
    await worker.terminate();
  });

  t.test('a look from outside', async (t) => {
    using ring = new RingBuffer(map);
    t.equal(ringUsage(map), 0);
    send(100);
    t.equal(ringUsage(map), ring.reader.available());
    t.equal(ringUsage(map.fd), 8 + 64, 'with the header');
    ring.reader.commit(ring.reader.lease(8));
    t.equal(ringUsage(map), 0);
  });

  t.test('a big ring', async (t) => {
    const size = 256 * 1024 * 1024;
    using big = BpfMap.create({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: size });
    using ring = new RingBuffer(big);
    t.equal(ring.data.length, 2 * size);
    t.equal(ring.data[2 * size - 1], 0);
  });

  t.test('only ring buffers are taken', async (t) => {
    using hash = object.map('hash');
    t.throws(() => new RingBuffer(hash), { code: 'BPF_MAP_INCOMPATIBLE' });
    t.throws(() => ringUsage(hash), { code: 'BPF_MAP_INCOMPATIBLE' });
    t.throws(() => new RingBuffer(-1), { code: 'BPF_SYSCALL', errnoName: /^EBADFD?$/ });
  });
});
