// SPDX-License-Identifier: MIT
/** 64-bit words without BigInt. */
import t from 'tap';

import { SharedWords } from '../../src/datapath/shared-memory';

const VALUES = [
  0,
  1,
  255,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 40 + 12345,
  2 ** 52,
  Number.MAX_SAFE_INTEGER,
];

t.test('what is written is what is read, by the kernel too', async (t) => {
  const buffer = new ArrayBuffer(64);
  const words = new SharedWords(buffer, 16, 32);
  const asKernel = new BigUint64Array(buffer);
  for (const value of VALUES) {
    words.set64(8, value);
    t.equal(words.get64(8), value);
    t.equal(asKernel[3], BigInt(value), `${value} in memory`);
    asKernel[2] = BigInt(value);
    t.equal(words.get64(0), value, `${value} from memory`);
  }
  t.equal(asKernel[0], 0n, 'neighbours are left alone');
  t.equal(asKernel[4], 0n);
});

t.test('u32: exchange and compare-and-swap', async (t) => {
  const words = new SharedWords(new SharedArrayBuffer(16), 0, 16);
  words.set32(4, 0xffffffff);
  t.equal(words.get32(4), 0xffffffff);
  t.equal(words.get32(0), 0);
  t.equal(words.get64(0), 0xffffffff * 2 ** 32);
  t.notOk(words.replace32(4, 1, 2), 'another value is there');
  t.equal(words.get32(4), 0xffffffff);
  t.ok(words.replace32(4, 0xffffffff, 7));
  t.equal(words.get32(4), 7);
});
