// SPDX-License-Identifier: MIT
/** The mmsghdr array, as the kernel reads it. */
import type { MappedMemory } from 'libbpf-ts';
import t from 'tap';

import { Batch, MARK_REFUSED } from '../../src/datapath/batch';
import { BATCH } from '../../src/datapath/layout';

const ADDRESS = 0x7fff_1234_5000;
const IOVECS = 0x7ffe_8765_4000;

function made(budget: number): { batch: Batch; message: (index: number) => DataView; iovec: (index: number) => DataView; log: DataView } {
  const memory = new ArrayBuffer(BATCH.messages + budget * BATCH.messageBytes);
  const iovecs = new ArrayBuffer(budget * 16);
  new Uint8Array(memory).fill(0xee, BATCH.messages); // what a batch of another process has left
  const mapped = (address: number, buffer: ArrayBuffer): MappedMemory => ({ address, buffer }) as unknown as MappedMemory;
  return {
    batch: new Batch(mapped(ADDRESS, memory), mapped(IOVECS, iovecs), budget),
    message: (index) => new DataView(memory, BATCH.messages + index * BATCH.messageBytes, BATCH.messageBytes),
    iovec: (index) => new DataView(iovecs, index * 16, 16),
    log: new DataView(memory, 0, BATCH.messages),
  };
}

t.test('each message has one iovec of its own and nothing else', async (t) => {
  const { message } = made(3);
  for (let i = 0; i < 3; i++) {
    const words = Array.from({ length: 8 }, (_, word) => message(i).getBigUint64(word * 8, true));
    // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; then msg_len.
    t.same(words, [0n, 0n, BigInt(IOVECS + i * 16), 1n, 0n, 0n, 0n, 0n], `message ${i}`);
  }
});

t.test('point() sets the iovec and takes the mark away', async (t) => {
  const { batch, message, iovec } = made(2);
  const target = 0x7f00_ffff_fff8;
  batch.refused(1);
  t.equal(message(1).getUint32(56, true), MARK_REFUSED);
  batch.point(1, target, 1524);
  t.equal(message(1).getUint32(56, true), 0);
  t.equal(iovec(1).getBigUint64(0, true), BigInt(target));
  t.equal(iovec(1).getBigUint64(8, true), 1524n);
  t.equal(iovec(0).getBigUint64(0, true), 0n, 'its neighbour is left alone');
  t.equal(batch.address(1), ADDRESS + BATCH.messages + BATCH.messageBytes);
});

t.test('begin() and end() frame a batch', async (t) => {
  const { batch, log } = made(1);
  batch.begin(5, 2 ** 40, 1000, 900, 2 ** 33);
  t.equal(log.getUint32(BATCH.count, true), 5);
  t.equal(log.getBigUint64(BATCH.start, true), 2n ** 40n);
  t.equal(log.getBigUint64(BATCH.drained, true), 1000n);
  t.equal(log.getBigUint64(BATCH.rxPackets, true), 900n);
  t.equal(log.getBigUint64(BATCH.rxBytes, true), 2n ** 33n);
  batch.end();
  t.equal(log.getUint32(BATCH.count, true), 0);
});
