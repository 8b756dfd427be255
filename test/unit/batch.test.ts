// SPDX-License-Identifier: MIT
/** The mmsghdr array, as the kernel reads it. */
import type { MappedMemory } from 'libbpf-ts';
import t from 'tap';

import { Batch, iovecBytes, MARK_REFUSED } from '../../src/datapath/batch';
import { CONTROL_BYTES } from '../../src/datapath/gro';
import { SharedWords } from '../../src/datapath/shared-memory';
import { BATCH, CONTROL as COUNTERS } from '../../src/layout';

const ADDRESS = 0x7fff_1234_5000;
const IOVECS = 0x7ffe_8765_4000;
/** Of a control message. */
const CONTROL = 0x7ffd_1357_9000;

function made(budget: number): {
  batch: Batch;
  message: (index: number) => DataView;
  iovec: (index: number) => DataView;
  log: DataView;
} {
  const memory = new ArrayBuffer(BATCH.messages + budget * BATCH.messageBytes);
  const iovecs = new ArrayBuffer(iovecBytes(budget));
  new Uint8Array(memory).fill(0xee, BATCH.messages); // what a batch of another process has left
  const mapped = (address: number, buffer: ArrayBuffer): MappedMemory =>
    ({ address, buffer }) as unknown as MappedMemory;
  return {
    batch: new Batch(mapped(ADDRESS, memory), mapped(IOVECS, iovecs), budget),
    message: (index) => new DataView(memory, BATCH.messages + index * BATCH.messageBytes, BATCH.messageBytes),
    iovec: (index) => new DataView(iovecs, index * 16, 16),
    log: new DataView(memory, 0, BATCH.messages),
  };
}

t.test('a message of one record has one iovec of its own and nothing else', async (t) => {
  const { batch, message, iovec } = made(3);
  batch.clear();
  for (let i = 0; i < 3; i++) {
    batch.add(1, 0, 0);
    batch.append(0x7f00_ffff_fff8 + i, 1524 + i);
  }
  t.equal(batch.count, 3);
  for (let i = 0; i < 3; i++) {
    const words = Array.from({ length: 8 }, (_, word) => message(i).getBigUint64(word * 8, true));
    // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; then msg_len, and how many records.
    t.same(words, [0n, 0n, BigInt(IOVECS + i * 16), 1n, 0n, 0n, 0n, 1n << 32n], `message ${i}`);
    t.equal(iovec(i).getBigUint64(0, true), BigInt(0x7f00_ffff_fff8 + i));
    t.equal(iovec(i).getBigUint64(8, true), BigInt(1524 + i));
  }
  t.equal(batch.address(1), ADDRESS + BATCH.messages + BATCH.messageBytes);
});

t.test('a message of several records has an iovec for each piece, and the log knows of how many', async (t) => {
  const { batch, message } = made(5);
  batch.clear();
  batch.add(1, 0, 0);
  batch.append(0x1000, 60);
  batch.add(3, 42, CONTROL);
  for (const piece of [52, 100, 100, 50]) batch.append(0x2000, piece);
  batch.add(1, 0, 0);
  batch.append(0x3000, 60);
  t.same([...batch.records.subarray(0, 4)], [0, 1, 4, 5], 'where the records of each message begin');
  t.equal(message(1).getBigUint64(16, true), BigInt(IOVECS + 16), 'its iovecs are in a row');
  t.equal(message(1).getBigUint64(24, true), 4n);
  t.equal(message(2).getBigUint64(16, true), BigInt(IOVECS + 5 * 16));
  t.equal(message(1).getUint32(60, true), (42 << 16) | 3);
  t.same(
    [32, 40].map((at) => message(1).getBigUint64(at, true)),
    [BigInt(CONTROL), BigInt(CONTROL_BYTES)],
    'and a control message',
  );
  t.same(
    [32, 40].map((at) => message(2).getBigUint64(at, true)),
    [0n, 0n],
    'the next has none',
  );
});

const counters = new SharedWords(new SharedArrayBuffer(COUNTERS.size), 0, COUNTERS.size);
const refuse = (batch: Batch, index: number): void => batch.refuse(index, COUNTERS.refusedInvalid, 1, counters);

t.test('a message of one record is the same whatever the batch before had there', async (t) => {
  const one = made(3);
  const other = made(3);
  const words = ({ message, iovec }: typeof one, index: number) =>
    [0, 1, 2, 3, 4, 5, 6, 7]
      .map((word) => message(index).getBigUint64(word * 8, true))
      .concat(iovec(index).getBigUint64(0, true), iovec(index).getBigUint64(8, true));
  const fill = ({ batch }: typeof one, add: (address: number, bytes: number) => void) => {
    batch.clear();
    for (let i = 0; i < 3; i++) add(0x7f00_ffff_fff8 + i, 1524 + i);
  };
  for (const before of ['nothing', 'the same', 'merged frames', 'refused ones', 'frames that a hook has judged']) {
    for (const { batch } of [one, other]) {
      if (before === 'merged frames') {
        batch.clear();
        batch.add(2, 42, CONTROL);
        for (const piece of [52, 100, 50]) batch.append(0x2000, piece);
        batch.addRecord(0x3000, 60);
      }
      if (before === 'refused ones') for (let i = 0; i < 3; i++) refuse(batch, i);
      if (before === 'frames that a hook has judged') {
        batch.clear();
        for (let i = 0; i < 3; i++) {
          batch.add(1, 0, 0);
          batch.append(0x4000, 70);
          batch.tally(1, 0, 5, 2, 3);
        }
      }
    }
    fill(one, (address, bytes) => one.batch.addRecord(address, bytes));
    fill(other, (address, bytes) => {
      other.batch.add(1, 0, 0);
      other.batch.append(address, bytes);
    });
    for (let i = 0; i < 3; i++) t.same(words(one, i), words(other, i), `after ${before}, message ${i}`);
    t.same([...one.batch.records], [0, 1, 2, 3]);
  }
});

t.test('a mark goes with the next batch', async (t) => {
  const { batch, message } = made(2);
  for (let i = 0; i < 2; i++) {
    batch.clear();
    batch.add(1, 0, 0);
    batch.append(0x1000, 60);
    t.equal(message(0).getUint32(56, true), 0);
    refuse(batch, 0);
    t.equal(message(0).getUint32(56, true), MARK_REFUSED);
  }
});

t.test('begin() and end() frame a batch', async (t) => {
  const { batch, log } = made(1);
  batch.clear();
  batch.add(1, 0, 0);
  batch.begin(2 ** 40, 1000, 900, 2 ** 33);
  t.equal(log.getUint32(BATCH.count, true), 1);
  t.equal(log.getBigUint64(BATCH.start, true), 2n ** 40n);
  t.equal(log.getBigUint64(BATCH.drained, true), 1000n);
  t.equal(log.getBigUint64(BATCH.rxPackets, true), 900n);
  t.equal(log.getBigUint64(BATCH.rxBytes, true), 2n ** 33n);
  batch.end();
  t.equal(log.getUint32(BATCH.count, true), 0);
});
