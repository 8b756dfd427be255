// SPDX-License-Identifier: MIT
/**
 * What people have for captures: old formats and patched ones, frame check sequences, lengths that lie, packed and put
 * together.
 */
import { spawnSync } from 'node:child_process';
import * as zlib from 'node:zlib';

import t from 'tap';

import { framesOf } from '../../src/capture/reader';
import { LeftOut, reasonAgainst } from '../../src/capture/replay';
import { VnetError } from '../../src/errors';
import { Blocks, padded } from '../helpers/capture-blocks';

const FRAME_MAX = 262198;
const frame = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 31 + length) & 0xff));
const SIXTY = frame(60);
const WITH_FCS = Buffer.concat([SIXTY, Buffer.from('deadbeef', 'hex')]);
const bothOrders = [new Blocks(true), new Blocks(false)];

/** Of each frame its bytes, or why it is left out; read in pieces of several sizes, which changes nothing. */
async function read(file: Buffer): Promise<(string | number)[]> {
  const results: string[] = [];
  for (const piece of [file.length > 100_000 ? 4099 : 7, 1 << 20]) {
    const pieces = Array.from({ length: Math.ceil(file.length / piece) }, (_, i) =>
      file.subarray(i * piece, (i + 1) * piece),
    );
    const found: (string | number)[] = [];
    for await (const frames of framesOf(pieces)) {
      for (const each of frames)
        found.push(
          each.linkType !== 1
            ? each.linkType
            : (reasonAgainst(each, FRAME_MAX) ?? Buffer.from(each.bytes).toString('hex')),
        );
    }
    results.push(JSON.stringify(found));
  }
  if (results[0] !== results[1]) throw new Error(`in pieces it is ${results[0]}, as a whole ${results[1]}`);
  return JSON.parse(results[0] as string) as (string | number)[];
}

const hex = (...frames: Buffer[]): string[] => frames.map((bytes) => bytes.toString('hex'));

t.test('a frame check sequence is taken off, whoever tells of it', async (t) => {
  for (const blocks of bothOrders) {
    const pcap = (linkType: number): Buffer =>
      Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, linkType), blocks.pcapRecord(WITH_FCS)]);
    t.same(await read(pcap(0x24000001)), hex(SIXTY), 'pcap, in words of 16 bits');
    t.same(await read(pcap(0x44000001)), hex(SIXTY), 'pcap, in bytes');
    t.same(await read(pcap(0x20000001)), hex(WITH_FCS), 'pcap: the flag says that there is none');
    const pcapng = (fcsLength: number, ...options: Buffer[]): Buffer =>
      Buffer.concat([
        blocks.section(),
        blocks.interface(1, ...(fcsLength === 0 ? [] : [blocks.option(13, Buffer.from([fcsLength]))])),
        blocks.odd(0, 64, 64, WITH_FCS, ...options),
      ]);
    t.same(await read(pcapng(4)), hex(SIXTY), 'if_fcslen, in bytes');
    t.same(await read(pcapng(32)), hex(SIXTY), 'if_fcslen, in bits');
    t.same(await read(pcapng(0, blocks.option(2, blocks.u32(4 << 5)))), hex(SIXTY), 'epb_flags');
    t.same(await read(pcapng(4, blocks.option(2, blocks.u32(1)))), hex(SIXTY), 'epb_flags that do not say');
    const old = blocks.block(
      2,
      blocks.u16(0, 0),
      blocks.u32(0, 0, 64, 64),
      WITH_FCS,
      blocks.option(2, blocks.u32(4 << 5)),
    );
    t.same(await read(Buffer.concat([blocks.section(), blocks.interface(1), old])), hex(SIXTY), 'pack_flags');
    const simple = blocks.block(3, blocks.u32(64), WITH_FCS);
    t.same(
      await read(Buffer.concat([blocks.section(), blocks.interface(1, blocks.option(13, Buffer.from([4]))), simple])),
      hex(SIXTY),
      'a simple block',
    );
    // The capture ended frames early, in the sequence or before it.
    const short = (captured: number): Buffer =>
      Buffer.concat([
        blocks.pcapHeader(0xa1b2c3d4, 0x24000001),
        blocks.pcapRecord(WITH_FCS.subarray(0, captured), { length: 64 }),
      ]);
    t.same(await read(short(62)), hex(SIXTY), 'half of it');
    t.same(await read(short(59)), ['cut']);
  }
});

t.test('lengths that lie leave their frame out, and no other', async (t) => {
  for (const blocks of bothOrders) {
    const pcap = Buffer.concat([
      blocks.pcapHeader(0xa1b2c3d4, 1),
      blocks.pcapRecord(SIXTY),
      blocks.pcapRecord(SIXTY, { length: 0 }),
      blocks.pcapRecord(SIXTY, { length: 59 }),
      blocks.pcapRecord(SIXTY, { length: 61 }),
      blocks.pcapRecord(frame(13)),
      blocks.pcapRecord(Buffer.alloc(0)),
      blocks.pcapRecord(Buffer.alloc(300_000)),
      blocks.pcapRecord(SIXTY),
    ]);
    const good = SIXTY.toString('hex');
    t.same(await read(pcap), [good, 'lengths', 'lengths', 'cut', 'runt', 'runt', 'oversize', good]);
    const huge = Buffer.alloc((16 << 20) + 4);
    const pcapng = Buffer.concat([
      blocks.section(),
      blocks.interface(1),
      blocks.odd(0, 60, 60, SIXTY),
      blocks.odd(0, 300_000, 60, Buffer.alloc(300_000)),
      blocks.odd(0, 300_000, 300_000, Buffer.alloc(300_000)),
      blocks.odd(0, 5000, 5000, SIXTY),
      blocks.odd(0, 60, 0, SIXTY),
      blocks.odd(0, huge.length, huge.length, huge),
      blocks.block(0x0bad, huge),
      blocks.block(3, blocks.u32(1000), SIXTY),
      blocks.odd(0, 60, 60, SIXTY),
    ]);
    t.same(
      await read(pcapng),
      [good, 'lengths', 'oversize', 'lengths', 'lengths', 'oversize', 'cut', good],
      'blocks of any size',
    );
  }
});

t.test('frames of other link types are told apart, wherever they stand', async (t) => {
  for (const blocks of bothOrders) {
    const mixed = Buffer.concat([
      blocks.section(),
      blocks.interface(1),
      blocks.interface(101),
      blocks.interface(1),
      ...[0, 1, 2].map((id) => blocks.odd(id, 60, 60, SIXTY)),
    ]);
    t.same(await read(mixed), [SIXTY.toString('hex'), 101, SIXTY.toString('hex')]);
    t.same(await read(Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, 113), blocks.pcapRecord(SIXTY)])), [113]);
  }
});

t.test('pcaps of patched and of old libraries', async (t) => {
  const three = [SIXTY, frame(61), frame(1514)];
  for (const blocks of bothOrders) {
    for (const [name, magic, more] of [
      ['Nokia', 0xa1b2c3d4, 4],
      ['Red Hat 6.1', 0xa1b2c3d4, 8],
      ['Kuznetsov', 0xa1b2cd34, 8],
      ['SuSE 6.3', 0xa1b2cd34, 12],
    ] as const) {
      const header = blocks.pcapHeader(magic, 1);
      t.same(
        await read(Buffer.concat([header, ...three.map((bytes) => blocks.pcapRecord(bytes, { more }))])),
        hex(...three),
        name,
      );
      t.same(await read(Buffer.concat([header, blocks.pcapRecord(SIXTY, { more })])), hex(SIXTY), `${name}, one frame`);
    }
    const swapped = blocks.pcapRecord(SIXTY, { captured: 100, length: 60 });
    for (const minor of [1, 3])
      t.same(
        await read(Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, 1, minor), swapped])),
        ['cut'],
        `version 2.${minor} has the lengths the other way round`,
      );
    t.same(
      await read(Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, 6, 2), blocks.pcapRecord(SIXTY)])),
      hex(SIXTY),
      'AIX has a number of its own for Ethernet',
    );
  }
});

t.test('files one behind the other', async (t) => {
  const [little, big] = bothOrders as [Blocks, Blocks];
  const files = [little, big].flatMap((blocks) => [
    Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, 1), blocks.pcapRecord(SIXTY)]),
    Buffer.concat([blocks.pcapHeader(0xa1b2cd34, 1), blocks.pcapRecord(SIXTY, { more: 8 })]),
    Buffer.concat([blocks.section(), blocks.interface(1), blocks.odd(0, 60, 60, SIXTY)]),
    blocks.pcapHeader(0xa1b23c4d, 1),
  ]);
  t.same(await read(Buffer.concat([...files, ...files.reverse()])), hex(...Array<Buffer>(12).fill(SIXTY)));
  const one = Buffer.concat([little.pcapHeader(0xa1b2c3d4, 1), little.pcapRecord(SIXTY)]);
  const odd = Buffer.concat([little.pcapHeader(0xa1b2c3d4, 1), little.pcapRecord(SIXTY, { seconds: 0xa1b2c3d4 })]);
  t.same(await read(odd), hex(SIXTY), 'a frame of 2055 is not another file');
  await t.rejects(read(Buffer.concat([one, zlib.gzipSync(one)])), {
    code: 'STATE',
    message: /goes on at byte \d+ with what is compressed by gzip/,
  });
});

t.test('packed files', async (t) => {
  const blocks = new Blocks(true);
  const file = Buffer.concat([blocks.pcapHeader(0xa1b2c3d4, 1), ...Array<Buffer>(2000).fill(blocks.pcapRecord(SIXTY))]);
  const all = hex(...Array<Buffer>(2000).fill(SIXTY));
  const packed = zlib.gzipSync(file);
  t.same(await read(packed), all, 'gzip');
  t.same(
    await read(Buffer.concat([zlib.gzipSync(file.subarray(0, 1000)), zlib.gzipSync(file.subarray(1000))])),
    all,
    'gzip, in two parts',
  );
  await t.rejects(read(packed.subarray(0, packed.length - 100)), {
    code: 'STATE',
    message: /cannot be unpacked further: unexpected end/,
  });
  await t.rejects(read(zlib.gzipSync(packed)), {
    code: 'UNSUPPORTED',
    hint: /^gzip -dc FILE \| gzip -dc \| vnet-bpf replay -/,
  });
  const zstd = Buffer.from('28b52ffd2405290000612d746573740d2c9c1c', 'hex');
  const withZstd = 'createZstdDecompress' in zlib;
  await t.rejects(
    read(zstd),
    withZstd
      ? { message: /zstd|neither/ }
      : {
          code: 'UNSUPPORTED',
          message: /is compressed by zstd/,
          hint: /^zstd -dc FILE \| vnet-bpf replay - --into IFACE/,
        },
  );
  if (withZstd)
    t.same(
      await read((zlib as unknown as { zstdCompressSync: (data: Buffer) => Buffer }).zstdCompressSync(file)),
      all,
      'zstd',
    );
});

t.test('what it cannot read is named, with the command that helps', async (t) => {
  const about = async (file: Buffer): Promise<string> => {
    try {
      await read(file);
      return 'is read';
    } catch (error) {
      return error instanceof VnetError ? `${error.code} ${error.message}; ${error.hint}` : String(error);
    }
  };
  const rest = Buffer.alloc(300);
  for (const [magic, expected] of [
    ['fd377a585a00', /compressed by xz; xz -dc FILE \|/],
    ['425a6839', /compressed by bzip2; bzip2 -dc FILE \|/],
    ['04224d18', /compressed by lz4; lz4 -dc FILE \|/],
    ['4c5a4950', /compressed by lzip; lzip -dc FILE \|/],
    ['504b0304', /a zip archive; unzip -p FILE \|/],
    ['736e6f6f70000000', /a capture of Sun snoop; editcap -F pcapng/],
    ['474d4255', /Network Monitor 2; editcap -F pcapng/],
    ['6e6f7468696e67', /neither pcapng nor pcap; .*editcap -F pcapng/],
  ] as const)
    t.match(await about(Buffer.concat([Buffer.from(magic, 'hex'), rest])), expected);
  const tar = Buffer.alloc(512);
  tar.write('ustar', 257);
  t.match(await about(tar), /a tar archive; tar -xOf FILE \|/);
  const inside = spawnSync('xz', ['-c'], { input: 'x' }).stdout;
  t.match(
    await about(zlib.gzipSync(inside?.length ? inside : Buffer.from('fd377a585a000004', 'hex'))),
    /is compressed by gzip, and what is in it is compressed by xz; gzip -dc FILE \| xz -dc \|/,
  );
});

t.test('what was left out is told by reason', async (t) => {
  const left = new LeftOut();
  left.add('cut');
  for (let i = 0; i < 2; i++) left.add('toolong');
  left.longest = 5014;
  t.equal(left.addOther({ linkType: 1, time: null, length: 60, captured: 60, bytes: SIXTY, comments: [] }), false);
  for (const linkType of [101, 101, 9999])
    left.addOther({ linkType, time: null, length: 60, captured: 60, bytes: SIXTY, comments: [] });
  t.equal(
    left.words(),
    '1 not whole: cut off when captured, 2 longer than the MTU, and no superpacket, 2 of link type 101 (raw IP), 1 of link type 9999',
  );
  t.same([left.total, left.failed], [6, 3]);
  t.match(
    left.hint('vnet0', () => 5000),
    /snapshot length/,
  );
  left.byReason.delete('cut');
  t.equal(
    left.hint('vnet0', (bytes) => bytes - 14),
    'ip link set vnet0 mtu 5000',
  );
  t.equal(padded(SIXTY).length, 60);
});
