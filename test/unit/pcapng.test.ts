// SPDX-License-Identifier: MIT
/** Capture files: what the writer writes the reader reads, and what others write in every form of the formats. */
import { Readable } from 'node:stream';

import t from 'tap';

import { newBlock } from '../../src/capture/buffers';
import { PcapngWriter } from '../../src/capture/pcapng-writer';
import { framesOf } from '../../src/capture/reader';
import { Blocks, padded } from '../helpers/capture-blocks';

interface Read {
  time: bigint | null;
  length: number;
  bytes: string;
  comments: readonly string[];
}

/** In pieces of that many bytes: whatever a pipe makes of it. */
async function read(file: Buffer, piece = 1 << 20): Promise<Read[]> {
  const pieces = Array.from({ length: Math.ceil(file.length / piece) }, (_, i) =>
    file.subarray(i * piece, (i + 1) * piece),
  );
  const found: Read[] = [];
  for await (const frames of framesOf(Readable.from(pieces))) {
    for (const { time, length, bytes, comments } of frames)
      found.push({ time, length, bytes: Buffer.from(bytes).toString('hex'), comments });
  }
  return found;
}

const FRAME = Buffer.from('ffffffffffff02000000000188b50102030405', 'hex');

t.test('what is written is read, in pieces of any size', async (t) => {
  const writer = new PcapngWriter();
  writer.begin({ application: 'a', os: 'b', interface: 'vnet0', description: 'c', snapLen: 0 });
  const block = newBlock(4096);
  block.bytes.forEach((_, i) => (block.bytes[i] = i * 7));
  const lengths = [14, 15, 16, 17, 60, 511, 512, 513, 1514, 4000];
  for (const length of lengths)
    writer.packet({
      high: 0x18000000,
      low: length,
      length,
      block,
      at: 8,
      captured: length,
      comment: `of ${length} bytes`,
    });
  writer.statistics({
    start: { high: 1, low: 2 },
    end: { high: 3, low: 4 },
    received: 2 ** 33,
    dropped: 1,
    delivered: 9,
    comment: 'end',
  });
  const file = Buffer.from(writer.out.take());
  const expected = lengths.map((length) => ({
    time: (0x18000000n << 32n) + BigInt(length),
    length,
    bytes: Buffer.from(block.bytes.subarray(8, 8 + length)).toString('hex'),
    comments: [`of ${length} bytes`],
  }));
  for (const piece of [1, 7, 4096, 1 << 20]) t.same(await read(file, piece), expected, `${piece} bytes at a time`);
});

for (const little of [true, false]) {
  const blocks = new Blocks(little);
  t.test(`pcapng, ${little ? 'little' : 'big'}-endian`, async (t) => {
    const bytes = FRAME.toString('hex');
    const file = Buffer.concat([
      blocks.section(),
      blocks.interface(1),
      blocks.packet(0, 1_500_000, FRAME),
      blocks.block(0x0bad, Buffer.alloc(8)), // of an unknown kind
      blocks.packet(
        0,
        2_000_000,
        FRAME,
        blocks.option(1, Buffer.from('one')),
        blocks.option(2, Buffer.alloc(4)),
        blocks.option(1, Buffer.from('two')),
        blocks.u32(0),
      ),
      blocks.block(3, blocks.u32(FRAME.length), padded(FRAME)),
      // Another section: interfaces anew, with nanoseconds, with 2^-10 seconds from an hour on.
      blocks.section(),
      blocks.interface(1, blocks.option(9, Buffer.from([9])), blocks.u32(0)),
      blocks.packet(1, 5, FRAME),
      blocks.section(),
      blocks.interface(
        1,
        blocks.option(9, Buffer.from([0x8a])),
        blocks.option(14, little ? blocks.u32(3600, 0) : blocks.u32(0, 3600)),
        blocks.u32(0),
      ),
      blocks.packet(0, 512, FRAME),
    ]);
    const length = FRAME.length;
    t.same(await read(file), [
      { time: 1_500_000_000n, length, bytes, comments: [] },
      { time: 2_000_000_000n, length, bytes, comments: ['one', 'two'] },
      { time: null, length, bytes, comments: [] },
      { time: 4_294_967_301n, length, bytes, comments: [] },
      { time: 3_600_500_000_000n, length, bytes, comments: [] },
    ]);
  });

  for (const [name, magic, factor] of [
    ['microseconds', 0xa1b2c3d4, 1000n],
    ['nanoseconds', 0xa1b23c4d, 1n],
  ] as const) {
    t.test(`pcap, ${little ? 'little' : 'big'}-endian, ${name}`, async (t) => {
      const header = blocks.pcapHeader(magic, 1);
      const record = Buffer.concat([blocks.u32(10, 20, FRAME.length, 100), FRAME]);
      const expected = {
        time: 10_000_000_000n + 20n * factor,
        length: 100,
        bytes: FRAME.toString('hex'),
        comments: [],
      };
      t.same(await read(Buffer.concat([header, record, record]), 5), [expected, expected]);
    });
  }
}

t.test('damaged files and others say what they are', async (t) => {
  const blocks = new Blocks(true);
  const start = Buffer.concat([blocks.section(), blocks.interface(1)]);
  const packet = blocks.packet(0, 0, FRAME);
  const patched = (at: number, value: number): Buffer => {
    const copy = Buffer.from(packet);
    copy.writeUInt32LE(value, at);
    return Buffer.concat([start, copy]);
  };
  const cases: [string, Buffer, { code: string; message?: RegExp }][] = [
    ['empty', Buffer.alloc(0), { code: 'UNSUPPORTED', message: /empty/ }],
    ['text', Buffer.from('no capture at all'), { code: 'UNSUPPORTED', message: /neither/ }],
    [
      'compressed, and damaged',
      Buffer.from('1f8b080000', 'hex'),
      { code: 'STATE', message: /compressed by gzip and cannot be unpacked/ },
    ],
    ['cut off', Buffer.concat([start, packet.subarray(0, 30)]), { code: 'STATE', message: /in the middle/ }],
    ['a block of 13 bytes', patched(4, 13), { code: 'STATE', message: /block of 13/ }],
    ['a block of a gigabyte', patched(4, 1 << 30), { code: 'STATE', message: /in the middle/ }],
    ['a block that ends otherwise', patched(packet.length - 4, 99), { code: 'STATE', message: /ends otherwise/ }],
    ['an interface that is not there', patched(8, 3), { code: 'STATE', message: /interface 3/ }],
  ];
  for (const [name, file, error] of cases) await t.rejects(read(file), error, name);
});
