// SPDX-License-Identifier: MIT
/**
 * Capture files that are damaged, or were made to do harm, through the parsers and as far as replay's sender: C1 of
 * docs/SECURITY.md.
 */
import { spawnSync } from 'node:child_process';

import t from 'tap';

import { newBlock } from '../../src/capture/buffers';
import { VIRTIO_PREFIX } from '../../src/capture/comment';
import { PcapngWriter } from '../../src/capture/pcapng-writer';
import { framesOf } from '../../src/capture/reader';
import { Replay } from '../../src/capture/replay';
import { FrameSender, WireFrames } from '../../src/capture/sender';
import { VnetError } from '../../src/errors';
import { ethernet, ipv4, ipv6, tcp, udp } from '../../src/packet';
import { preparePartialChecksum } from '../../src/packet/offload';
import { Blocks, padded } from '../helpers/capture-blocks';
import { Random } from '../helpers/random';

const HEADER = '0100000000000000000000';
const frame = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 31 + length) & 0xff));
const FRAMES = [14, 60, 61, 590].map(frame);

function ours(): Buffer {
  const writer = new PcapngWriter();
  writer.begin({ application: 'a', os: 'b', interface: 'vnet0', description: 'c', snapLen: 0 });
  for (const bytes of FRAMES) {
    const block = newBlock(4096);
    block.bytes.set(bytes, 8);
    writer.packet({
      high: 1,
      low: 2,
      length: bytes.length,
      block,
      at: 8,
      captured: bytes.length,
      comment: `captured; ${VIRTIO_PREFIX}${HEADER.slice(0, 20)}`,
    });
  }
  writer.statistics({
    start: { high: 1, low: 2 },
    end: { high: 3, low: 4 },
    received: 9,
    dropped: 1,
    delivered: 9,
    comment: 'end',
  });
  return Buffer.from(writer.out.take());
}

function pcapng(little: boolean): Buffer {
  const blocks = new Blocks(little);
  const comment = (text: string): Buffer => blocks.option(1, Buffer.from(text));
  return Buffer.concat([
    blocks.section(),
    blocks.interface(1, blocks.option(9, Buffer.from([9])), blocks.option(14, Buffer.alloc(8)), blocks.u32(0)),
    ...FRAMES.map((bytes) =>
      blocks.packet(1, 2, bytes, comment(`${VIRTIO_PREFIX}${HEADER.slice(0, 20)}`), comment('more'), blocks.u32(0)),
    ),
    blocks.block(3, blocks.u32(60), frame(60)),
    blocks.block(2, blocks.u16(0, 0), blocks.u32(0, 1, 60, 60), frame(60)),
    blocks.section(),
    blocks.interface(1),
    blocks.packet(0, 0, frame(33)),
  ]);
}

function pcap(little: boolean, magic: number): Buffer {
  const blocks = new Blocks(little);
  // With a frame check sequence, and of the patched libpcaps the shorter record header.
  const more = magic === 0xa1b2cd34 ? 8 : 0;
  return Buffer.concat([
    blocks.pcapHeader(magic, 0x24000001),
    ...FRAMES.map((bytes) => blocks.pcapRecord(bytes, { more })),
  ]);
}

/** With interfaces of other link types and a frame check sequence, and blocks that say too much. */
function odd(little: boolean): Buffer {
  const blocks = new Blocks(little);
  return Buffer.concat([
    blocks.section(),
    blocks.interface(101, blocks.option(13, Buffer.from([4]))),
    blocks.interface(1, blocks.option(13, Buffer.from([4]))),
    blocks.odd(0, 60, 60, frame(60)),
    blocks.odd(1, 64, 64, frame(64), blocks.option(2, blocks.u32(0x80))),
    blocks.odd(1, 5000, 60, frame(60)),
    blocks.odd(1, 100, 0, frame(100)),
    pcap(little, 0xa1b2c3d4),
  ]);
}

const PCAPS = [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34];
const SEEDS = [
  ours(),
  ...[true, false].flatMap((little) => [pcapng(little), odd(little), ...PCAPS.map((magic) => pcap(little, magic))]),
];
const NUMBERS = [
  0xa1b2c3d4,
  0x24000001,
  2 ** 24,
  0,
  1,
  3,
  4,
  12,
  13,
  0x7fffffff,
  0x80000000,
  0xffffffff,
  0xfffffffc,
  0x0a0d0d0a,
  0x1a2b3c4d,
  262144,
  262145,
  64 << 20,
  65536,
];

function mutated(random: Random): Buffer {
  let file = Buffer.from(random.pick(SEEDS));
  const at = (below = file.length): number => random.between(0, Math.max(0, below - 1));
  for (let n = random.between(1, 4); n > 0; n--) {
    const where = at() & ~3;
    switch (random.between(0, 6)) {
      case 0:
        if (file.length > 0) file[at()] = random.bits() & 0xff;
        break;
      case 1:
        if (where + 4 <= file.length) file.writeUInt32LE(random.pick(NUMBERS), where);
        break;
      case 2:
        if (where + 4 <= file.length) file.writeUInt32BE(random.pick(NUMBERS), where);
        break;
      case 3:
        file = file.subarray(0, at());
        break;
      case 4:
        file = Buffer.concat([file.subarray(0, where), random.pick(SEEDS).subarray(at(400) & ~3)]);
        break;
      case 5:
        file = Buffer.concat([file.subarray(0, where), file.subarray(at())]);
        break;
      default:
        if (where + 2 <= file.length) file.writeUInt16LE(random.pick(NUMBERS) & 0xffff, where);
    }
  }
  return file;
}

/** What replay would send of a file that comes in pieces, and how it ended. */
async function replayed(
  file: Buffer,
  piece: number,
  wire: WireFrames | null = null,
): Promise<{ sent: { bytes: Buffer; header: Uint8Array | null }[]; error: unknown }> {
  const pieces = Array.from({ length: Math.ceil(file.length / piece) }, (_, i) =>
    file.subarray(i * piece, (i + 1) * piece),
  );
  const sent: { bytes: Buffer; header: Uint8Array | null }[] = [];
  const add = (bytes: Uint8Array, header: Uint8Array | null): boolean => {
    sent.push({ bytes: Buffer.from(bytes), header });
    return false;
  };
  const replay = new Replay({ add, flush: () => Promise.resolve() }, { pace: null, wire, filter: null });
  try {
    for await (const frames of framesOf(pieces)) await replay.send(frames);
    return { sent, error: null };
  } catch (error) {
    return { sent, error };
  }
}

t.test('C1: 6,000 mutated capture files', async (t) => {
  const random = Random.announced(t);
  const wrong: string[] = [];
  const counts = { whole: 0, refused: 0, frames: 0 };
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 6000; i++) {
    const file = mutated(random);
    const start = performance.now();
    const { sent, error } = await replayed(file, random.chance(3) ? 7 : random.pick([400, 1 << 20]));
    const say = (what: string): void => void wrong.push(`file ${i}: ${what}`);
    if (performance.now() - start > 1000) say(`took ${(performance.now() - start).toFixed()} ms`);
    if (error !== null && !(error instanceof VnetError && ['STATE', 'UNSUPPORTED'].includes(error.code)))
      say(error instanceof Error ? (error.stack ?? error.message) : typeof error);
    counts[error === null ? 'whole' : 'refused']++;
    counts.frames += sent.length;
    if (sent.some(({ bytes }) => bytes.length > FrameSender.MAX_BYTES || !file.includes(bytes)))
      say('sent what is not in it');
    if (sent.some(({ header }) => header && !file.includes(Buffer.from(header).toString('hex'))))
      say('made up a virtio_net_hdr');
  }
  t.same(wrong, [], `seed ${random.seed}`);
  t.ok(
    counts.whole > 500 && counts.refused > 1000 && counts.frames > 6000,
    `some of everything: ${JSON.stringify(counts)}`,
  );
  t.ok(process.memoryUsage.rss() - before < 300e6, 'memory is bounded');
});

t.test('C1: sizes that lie', async (t) => {
  const blocks = new Blocks(true);
  const start = Buffer.concat([blocks.section(), blocks.interface(1)]);
  const large = padded(Buffer.alloc(FrameSender.MAX_BYTES + 1));
  // Each would lie over the next ones that wait to be sent.
  for (const length of [60, large.length]) {
    const longer = blocks.odd(0, large.length, length, large);
    t.match(
      await replayed(Buffer.concat([start, longer, blocks.packet(0, 0, FRAMES[1] as Buffer)]), 1 << 20),
      { sent: [{ bytes: FRAMES[1] }], error: null },
      'only what fits is sent',
    );
  }
  const interfaces = Buffer.concat([blocks.section(), ...Array<Buffer>(65_537).fill(blocks.interface(1))]);
  t.match(await replayed(interfaces, 1 << 20), { error: { code: 'STATE', message: /more than 65536 interfaces/ } });
  const comments = blocks.packet(
    0,
    0,
    frame(60),
    ...Array<Buffer>(1000).fill(blocks.option(1, Buffer.alloc(0))),
    blocks.u32(0),
  );
  t.match(await replayed(Buffer.concat([start, comments]), 1 << 20), {
    error: { code: 'STATE', message: /more than 64 comments/ },
  });
});

t.test('C1: superpackets and checksums of frames that lie', async (t) => {
  const random = Random.announced(t);
  const blocks = new Blocks(true);
  const [link, v4, v6, ports] = [
    { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
    { source: '10.77.0.1', destination: '10.77.0.2' },
    { source: 'fd77::1', destination: 'fd77::2' },
    { sourcePort: 1, destinationPort: 2 },
  ];
  const payload = frame(4000);
  const seeds = [tcp({ ...ports, sequence: 1, flags: 0x10 }, payload), udp(ports, payload)].flatMap((segment) => [
    ethernet(link, ipv4(v4, segment)),
    ethernet(link, ipv6(v6, segment)),
  ]);
  for (const seed of seeds.slice(1)) preparePartialChecksum(seed);
  let sent = 0;
  for (let i = 0; i < 1000; i++) {
    const bytes = Buffer.from(random.pick(seeds));
    for (let n = random.between(1, 4); n > 0; n--) bytes[random.between(0, 80)] = random.bits() & 0xff;
    const file = Buffer.concat([blocks.section(), blocks.interface(1), blocks.packet(0, 0, bytes)]);
    const result = await replayed(file, 1 << 20, new WireFrames(random.pick([68, 576, 1500, 9000, 65535])));
    if (result.error !== null)
      t.fail(
        `${bytes.toString('hex', 0, 90)}: ${result.error instanceof Error ? result.error.stack : 'thrown'}, seed ${random.seed}`,
      );
    sent += result.sent.length;
  }
  t.ok(sent > 1000, `${sent} frames`);
});

t.test('C1: a large block in small pieces is not copied once for each', async (t) => {
  const blocks = new Blocks(true);
  const file = Buffer.concat([
    blocks.section(),
    blocks.interface(1),
    blocks.block(0x0bad, Buffer.alloc(48 << 20)),
    blocks.packet(0, 0, padded(frame(60))),
  ]);
  const begin = process.cpuUsage();
  t.match(await replayed(file, 16384), { sent: [{ bytes: frame(60) }], error: null });
  const { user, system } = process.cpuUsage(begin);
  t.ok(user + system < 5e6, `${((user + system) / 1000).toFixed()} ms of CPU`); // 75 GB are copied otherwise
});

t.test('a frame of the far future is waited for as others are', async (t) => {
  const pace = require.resolve('../../src/capture/replay');
  const loader = pace.endsWith('.ts') ? ['-r', 'ts-node/register/transpile-only'] : [];
  const program = `const { Pace } = require(${JSON.stringify(pace)}); new Pace().wait(2 ** 33).then(() => process.exit(3)); setTimeout(() => process.exit(0), 200);`;
  t.equal(
    spawnSync(process.execPath, [...loader, '-e', program], { timeout: 10_000, stdio: 'ignore' }).status,
    0,
    'and the process still hears what else happens',
  );
});
