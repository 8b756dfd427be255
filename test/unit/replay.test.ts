// SPDX-License-Identifier: MIT
/** What replay makes of the frames of a capture: superpackets, checksums, filters, and when each is due. */
import t from 'tap';

import { VIRTIO_PREFIX } from '../../src/capture/comment';
import type { CapturedFrame } from '../../src/capture/contract';
import { Pace, Replay, type ReplayOptions } from '../../src/capture/replay';
import { mtuFor, WireFrames } from '../../src/capture/sender';
import { ethernet, fixChecksums, Frame, ipv4, ipv6, tcp, udp } from '../../src/packet';
import { parseFilter } from '../../src/packet/filter';
import { preparePartialChecksum } from '../../src/packet/offload';
import { onesComplement } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const PORTS = { sourcePort: 1234, destinationPort: 5001 };
const payload = Uint8Array.from({ length: 40_001 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
const segment = tcp({ ...PORTS, sequence: 1, flags: 0x18 }, payload);
const captured = (bytes: Uint8Array, more: Partial<CapturedFrame> = {}): CapturedFrame => ({
  linkType: 1,
  time: null,
  length: bytes.length,
  captured: bytes.length,
  bytes,
  comments: [],
  ...more,
});

const untagged = (bytes: Uint8Array): Uint8Array =>
  bytes[12] === 0x81 ? Buffer.concat([bytes.subarray(0, 12), bytes.subarray(16)]) : bytes;

function unfinished(frame: Uint8Array): Uint8Array {
  preparePartialChecksum(frame);
  return frame;
}

/** What is sent, and what replay says of it. */
async function replayed(
  frames: readonly CapturedFrame[],
  options: Partial<ReplayOptions> = {},
): Promise<{ sent: Uint8Array[]; replay: Replay; flushes: number }> {
  const sent: Uint8Array[] = [];
  let flushes = 0;
  const flush = (): Promise<void> => {
    flushes++;
    return Promise.resolve();
  };
  const replay = new Replay(
    { add: (bytes) => sent.push(Uint8Array.from(bytes)) % 32 === 0, flush },
    { pace: null, wire: new WireFrames(1500), filter: null, ...options },
  );
  await replay.send(frames);
  return { sent, replay, flushes };
}

t.test('superpackets are cut into frames of the MTU, with checksums of their own', async (t) => {
  for (const [name, superpacket] of [
    ['IPv4, finished', ethernet(LINK, ipv4(V4, segment))],
    ['IPv4, unfinished', unfinished(ethernet(LINK, ipv4(V4, segment)))],
    ['IPv6', unfinished(ethernet(LINK, ipv6(V6, segment)))],
    ['IPv4 in a VLAN', unfinished(ethernet({ ...LINK, vlan: { id: 5 } }, ipv4(V4, segment)))],
    ['UDP, unfinished', unfinished(ethernet(LINK, ipv4(V4, udp(PORTS, payload))))],
  ] as const) {
    const { sent, replay } = await replayed([captured(superpacket)]);
    const frames = sent.map((bytes) => Frame.of(bytes));
    const carried = frames.map((frame) => (frame.tcp ?? frame.udp)?.payload ?? new Uint8Array(0));
    t.ok(Buffer.concat(carried).equals(payload), `${name}: together they carry what it carried`);
    const longest = 1514 + (name.includes('VLAN') ? 4 : 0);
    t.ok(
      sent.slice(0, -1).every(({ length }) => length === longest) && (sent.at(-1)?.length ?? 0) <= longest,
      `${name}: as long as can be`,
    );
    t.ok(
      sent.every((bytes) => onesComplement(untagged(bytes)) === 0xffff),
      `${name}: checksums`,
    );
    t.equal(replay.leftOut.total, 0);
  }
});

t.test('BIG TCP of IPv6 loses its jumbo payload option', async (t) => {
  const whole = ethernet(LINK, ipv6(V6, tcp({ ...PORTS, sequence: 1, flags: 0x10 }, payload)));
  // A hop-by-hop header with the option stands in between, and the length of the payload is 0.
  const jumbo = Buffer.concat([whole.subarray(0, 54), Buffer.from([6, 0, 0xc2, 4, 0, 0, 0, 0]), whole.subarray(54)]);
  jumbo[20] = 0;
  jumbo.writeUInt16BE(0, 18);
  const { sent } = await replayed([captured(jumbo)]);
  t.ok(
    sent.length > 20 &&
      sent.every((bytes) => bytes[20] === 6 && onesComplement(bytes) === 0xffff && Frame.of(bytes).tcp !== null),
    `${sent.length} plain frames`,
  );
  t.ok(Buffer.concat(sent.map((bytes) => Frame.of(bytes).tcp?.payload ?? new Uint8Array(0))).equals(payload));
});

t.test('unfinished checksums are completed, others are left alone', async (t) => {
  const small = tcp({ ...PORTS, sequence: 1, flags: 0x18 }, payload.subarray(0, 99));
  const whole = fixChecksums(ethernet(LINK, ipv4(V4, small)));
  const wrong = Uint8Array.from(whole);
  wrong[50] = (wrong[50] as number) ^ 0x55;
  const padded = Buffer.concat([
    unfinished(Uint8Array.from(fixChecksums(ethernet(LINK, ipv4(V4, tcp({ ...PORTS, sequence: 1, flags: 2 })))))),
    Buffer.alloc(6, 0xaa),
  ]);
  const frames = [
    unfinished(Uint8Array.from(whole)),
    whole,
    wrong,
    unfinished(ethernet(LINK, ipv6(V6, udp(PORTS, payload.subarray(0, 7))))),
    padded,
  ];
  const { sent } = await replayed(frames.map((bytes) => captured(bytes)));
  t.same(sent[0], whole);
  t.same(sent[1], whole);
  t.same(sent[2], wrong, 'a wrong one stays wrong');
  t.equal(onesComplement(sent[3] as Uint8Array), 0xffff);
  t.equal(onesComplement((sent[4] as Uint8Array).subarray(0, 54)), 0xffff, 'without the padding');
  t.ok(frames[0] && !Buffer.from(frames[0]).equals(whole), 'the file is not written to');
});

t.test('what stays as it is', async (t) => {
  const superpacket = unfinished(ethernet(LINK, ipv4(V4, segment)));
  t.same((await replayed([captured(superpacket)], { wire: null })).sent, [superpacket], 'all, if that is asked for');
  t.same(
    (await replayed([captured(superpacket, { comments: [`captured; ${VIRTIO_PREFIX}${'01'.repeat(10)}`] })])).sent,
    [superpacket],
    'what was recorded in the loop',
  );
});

t.test('a frame that is too long and no superpacket is left out', async (t) => {
  const datagram = fixChecksums(ethernet(LINK, ipv4(V4, udp(PORTS, payload.subarray(0, 4000)))));
  const other = ethernet(LINK, { type: 0x88b5, bytes: payload.subarray(0, 1600) });
  const { sent, replay } = await replayed([captured(datagram), captured(other), captured(other.subarray(0, 1514))]);
  t.equal(sent.length, 1);
  t.same([...replay.leftOut.byReason], [['toolong', 2]]);
  t.equal(mtuFor(replay.leftOut.longest), 4028, 'the MTU with which it can be sent');
  t.equal((await replayed([captured(datagram)], { wire: new WireFrames(4028) })).sent.length, 1, 'and is');
  t.equal(mtuFor(70_000), null);
});

t.test('a filter, and what goes before an error', async (t) => {
  const frames = [53, 80, 53].map((destinationPort) =>
    captured(ethernet(LINK, ipv4(V4, udp({ sourcePort: 1, destinationPort })))),
  );
  const { sent, replay } = await replayed(frames, { filter: parseFilter('udp port 53') });
  t.same([sent.length, replay.leftOut.words(), replay.leftOut.failed], [2, '1 that the filter does not match', 0]);
  function* broken(): Generator<CapturedFrame> {
    yield frames[0] as CapturedFrame;
    throw new Error('damaged');
  }
  let flushed = 0;
  const before = new Replay(
    { add: () => false, flush: () => Promise.resolve(void flushed++) },
    { pace: null, wire: null, filter: null },
  );
  await t.rejects(before.send(broken()), /damaged/);
  t.equal(flushed, 1, 'is sent');
});

t.test('gaps: announced, capped, and ended by stop()', async (t) => {
  const day = 86_400_000_000_000n;
  const at = (...times: bigint[]): CapturedFrame[] => times.map((time) => captured(payload.subarray(0, 60), { time }));
  const gaps: number[] = [];
  const onLongGap = (ms: number): void => void gaps.push(Math.round(ms / 86_400_000));
  const begin = performance.now();
  const capped = await replayed(at(0n, 30n * day, 30n * day + 1n), { pace: new Pace(20), onLongGap });
  t.equal(capped.sent.length, 3);
  t.ok(performance.now() - begin < 5000 && gaps.length === 0, 'a capped gap of 30 days is short');
  const sent: number[] = [];
  const replay = new Replay(
    { add: () => sent.push(1) === 0, flush: () => Promise.resolve() },
    {
      pace: new Pace(),
      wire: null,
      filter: null,
      onLongGap: (ms) => {
        onLongGap(ms);
        setTimeout(() => replay.stop(), 10);
      },
    },
  );
  await replay.send(at(0n, 30n * day, 31n * day));
  t.same(
    { sent, gaps, frames: replay.frames },
    { sent: [1], gaps: [30], frames: 2 },
    'the gap is told, and waiting ends at once',
  );
});

t.test('times that go back', async (t) => {
  const pace = new Pace();
  const second = 1_000_000_000n;
  const due = (time: bigint | null): number => Math.max(0, Math.ceil(pace.dueIn(time) / 500) * 500);
  t.same(
    [100n * second, 102n * second, 101n * second + second / 2n, 103n * second, null].map((time) => due(time)),
    [0, 2000, 2000, 3000, 0],
    'a little: of several sources',
  );
  t.same(
    [50n * second, 51n * second].map((time) => due(time)),
    [3000, 4000],
    'a lot: the clock was set, and goes on from there',
  );
});
