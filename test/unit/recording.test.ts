// SPDX-License-Identifier: MIT
/** Joins the trace ring with the poller's outcomes, in whatever order they come: what a frame becomes in the file. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { newBlock } from '../../src/capture/buffers';
import { commentOf, virtioNetHeaderOf } from '../../src/capture/comment';
import { FrameLog } from '../../src/capture/frame-log';
import { RecordedFrame } from '../../src/capture/trace-ring';
import { WallClock } from '../../src/capture/writer';
import {
  FAULT_SETS,
  faultOf,
  OUTCOME,
  OutcomeReader,
  outcomesHeader,
  OutcomeWriter,
  PAGE,
  REFUSALS,
  ruleOfFault,
  SLOT_BYTES,
  slotsFor,
} from '../../src/datapath/outcomes';
import { ROOM_NUMBERED } from '../../src/layout';

const MS = 1e6;
const TAG = ROOM_NUMBERED;

/** A frame of 60 bytes, captured at that millisecond. */
function frame(number: number, atMs: number, held = false, header = ''): RecordedFrame {
  const block = newBlock(128);
  block.bytes.set(Buffer.from(header, 'hex'));
  return new RecordedFrame(atMs * MS, 60, held, number, block, 0, 60);
}

/** Everything that can be written now. */
function written(log: FrameLog, force = false): string[] {
  const comments: string[] = [];
  for (let next = log.shift(force); next; next = log.shift(force)) comments.push(commentOf(next));
  return comments;
}

t.test('frames come out in the order of capture, each with its own story', async (t) => {
  const log = new FrameLog();
  log.captured(frame(100, 1));
  log.held(frame(7, 2, true));
  log.refused(frame(0, 3), 0);
  log.held(frame(8, 3, true));
  log.captured(frame(101, 4));
  t.same(written(log), [], 'the first has to be waited for');
  log.told(101, OUTCOME.dropped, 0, 5 * MS);
  log.released(TAG | 7, 102, 6 * MS);
  log.told(100, OUTCOME.reinjected, 1, 1.5 * MS);
  t.same(written(log), ['captured, reinjected after 0.500 ms']);
  log.told(102, OUTCOME.reinjected, 3, 6.25 * MS);
  log.roomRefused(TAG | 8, 4, 7 * MS);
  t.same(written(log), [
    'captured, held for 4.000 ms, reinjected with 2 others as one packet after 0.250 ms',
    'refused: full',
    'held for 4.000 ms, then refused: unreadable',
    'captured, dropped by the hook after 1.000 ms',
  ]);
  t.equal(log.bytes, 0, 'and their memory is free');
});

t.test('faults of a frame come before its outcome', async (t) => {
  const log = new FrameLog();
  for (const number of [1, 2, 3]) log.captured(frame(number, 1));
  log.told(1, OUTCOME.fault, faultOf(7, 999), 2 * MS);
  log.told(1, OUTCOME.fault, faultOf(FAULT_SETS - 1, 0), 2 * MS);
  log.told(1, OUTCOME.dropped, 0, 2 * MS);
  log.told(2, OUTCOME.reinjected, 1, 2 * MS);
  log.told(3, OUTCOME.fault, faultOf(0, 3), 2 * MS);
  log.told(3, OUTCOME.delayed, 400, 2 * MS);
  log.told(77, OUTCOME.fault, 0, 2 * MS); // captured before the recording began
  const frames = [log.shift(false), log.shift(false), log.shift(false)].map((each) => each as RecordedFrame);
  t.same(
    frames.map(({ faults }) => faults?.map(ruleOfFault) ?? null),
    [
      [
        { set: 7, rule: 999 },
        { set: FAULT_SETS - 1, rule: 0 },
      ],
      null,
      [{ set: 0, rule: 3 }],
    ],
  );
  t.same(
    frames.map((each) =>
      commentOf(
        each,
        each.faults?.map((_, i) => `rule ${i + 1}: udp: drop`),
      ),
    ),
    [
      'captured, dropped by faults after 1.000 ms; rule 1: udp: drop; rule 2: udp: drop',
      'captured, reinjected after 1.000 ms',
      'captured, delayed by faults for 40.0 ms after 1.000 ms; rule 1: udp: drop',
    ],
  );
});

t.test('numbers: shared by two, come round, unknown', async (t) => {
  const log = new FrameLog();
  log.captured(frame(5, 1));
  log.captured(frame(5, 2)); // two CPUs in the same instant
  log.captured(frame(5 + (1 << 18), 3)); // the same slot
  log.told(5 + (1 << 18), OUTCOME.changed, 0, 4 * MS);
  log.told(77, OUTCOME.reinjected, 1, 4 * MS);
  log.told(5, OUTCOME.reinjected, 1, 4 * MS);
  log.told(5, REFUSALS.toolong.outcome, 0, 4 * MS);
  log.told(5, REFUSALS.down.outcome, 0, 4 * MS);
  t.same(written(log), [
    'captured, reinjected after 3.000 ms',
    'captured, refused on the reinject path (toolong) after 2.000 ms',
    'captured, changed by the hook and reinjected after 1.000 ms',
  ]);
  // The room has 15 bits of a number: the one that has waited longest is meant.
  log.held(frame(3, 1, true));
  log.held(frame(3 + 0x8000, 2, true));
  log.released(0x4000 | 3, 9, 5 * MS); // held before the recording began: it has no number
  log.roomRefused(0x4000 | 3, 4, 5 * MS);
  log.released(TAG | 3, 10, 5 * MS);
  log.released(TAG | 3, 11, 6 * MS);
  log.released(TAG | 3, 12, 6 * MS);
  log.told(11, OUTCOME.reinjected, 1, 7 * MS);
  log.told(10, OUTCOME.reinjected, 1, 7 * MS);
  t.same(written(log), [
    'captured, held for 4.000 ms, reinjected after 2.000 ms',
    'captured, held for 4.000 ms, reinjected after 1.000 ms',
  ]);
});

t.test('what nobody will tell any more is not waited for', async (t) => {
  const log = new FrameLog();
  log.captured(frame(0xfffffff0, 1));
  log.captured(frame(0xfffffff1, 1));
  log.told(0xfffffff1, OUTCOME.reinjected, 1, 2 * MS);
  log.progress = { captured: 0x1_0000_0000, drained: 0xfffffff2, roomIsEmpty: true };
  t.same(written(log), [], 'another CPU may just be behind');
  log.progress = { captured: 0x1_0000_0000, drained: 0x1_0000_0000, roomIsEmpty: true };
  t.same(written(log), ['captured, what became of it was missed', 'captured, reinjected after 1.000 ms']);
  log.held(frame(1, 1, true));
  log.progress = { captured: 0, drained: 0, roomIsEmpty: false };
  t.same(written(log), []);
  log.progress = { captured: 0, drained: 0, roomIsEmpty: true };
  t.match(written(log), [/lost in the waiting room/]);
  log.progress = { captured: 0, drained: 0, roomIsEmpty: false };
  for (const number of [0x7ffffff0, 0x7fffffff, 1, 1100]) log.held(frame(number, 1, true)); // of 31 bits
  log.released(TAG | 1, 5, 2 * MS);
  t.same(written(log), [], 'a few may be overtaken');
  log.released(TAG | 1100, 6, 2 * MS);
  t.match(written(log), [/lost in the waiting room/, /lost in the waiting room/], 'not by a thousand');
});

t.test('what is in the loop at the end', async (t) => {
  const log = new FrameLog();
  log.captured(frame(1, 1));
  log.held(frame(1, 1, true));
  log.held(frame(2, 1, true));
  log.released(TAG | 2, 2, 3 * MS);
  t.same(written(log, true), [
    'captured, still in the queue when the recording ended',
    'held, still waiting when the recording ended',
    'captured, held for 2.000 ms, still in the queue when the recording ended',
  ]);
  log.told(1, OUTCOME.reinjected, 1, 4 * MS); // too late: no error
  log.released(TAG | 1, 3, 4 * MS);
  t.same(written(log, true), []);
});

t.test('what no byte of a frame shows', async (t) => {
  const header = '0101000005001e001000'; // partial checksum, TCPv4, 5 bytes a segment, TCP from byte 30 on
  const log = new FrameLog();
  const superpacket = frame(1, 1, false, header);
  superpacket.bytes[30 + 12] = 0x50; // a TCP header of 20 bytes
  log.captured(superpacket);
  log.told(1, OUTCOME.reinjected, 1, 1 * MS);
  const [comment = ''] = written(log);
  t.equal(
    comment,
    `captured, reinjected after 0.000 ms; superpacket of 2 segments of 5 bytes; partial checksum; virtio_net_hdr ${header}`,
  );
  t.equal(Buffer.from(virtioNetHeaderOf(comment) ?? []).toString('hex'), header, 'and replay finds it');
  t.equal(virtioNetHeaderOf('captured, reinjected after 0.000 ms'), null);
  t.equal(virtioNetHeaderOf('virtio_net_hdr 0101'), null, 'not whole');
});

t.test('the clock, to the nanosecond', async (t) => {
  const exact = (wallMs: number, at: number, monotonic: number): bigint =>
    BigInt(Math.round((wallMs % 1000) * 1e6)) +
    BigInt(Math.floor(wallMs / 1000)) * 1_000_000_000n +
    BigInt(monotonic - at);
  for (const [wallMs, at, later] of [
    [1_795_610_479_730.25, 123_456_789_012, 123_456_789_013],
    [1_795_610_479_001, 999_999_999, 1_000_000_000],
    [0, 0, 7],
    [4_102_444_800_123, 2 ** 52, 2 ** 52 + 1],
  ] as const) {
    const { high, low } = new WallClock(wallMs, at).stamp(later);
    t.equal((BigInt(high) << 32n) + BigInt(low), exact(wallMs, at, later), `${wallMs}`);
    t.ok(low >= 0 && low < 2 ** 32);
  }
});

const SLOTS = slotsFor(256 << 10);

/** The map is an ordinary file here. */
function outcomes(t: Test): { writer: OutcomeWriter; reader: OutcomeReader } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-test-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'outcomes');
  fs.writeFileSync(file, outcomesHeader(SLOTS));
  fs.truncateSync(file, PAGE + SLOTS * SLOT_BYTES);
  const writer = OutcomeWriter.take(fs.openSync(file, 'r+'));
  const fd = fs.openSync(file, 'r+');
  const reader = new OutcomeReader({ fd });
  fs.closeSync(fd);
  t.teardown(() => [writer, reader].forEach((end) => end?.close()));
  return { writer: writer as OutcomeWriter, reader };
}

t.test('outcomes: numbers from positions and stamps, a full ring is counted', async (t) => {
  const { writer, reader } = outcomes(t);
  const told: [number, number, number][] = [];
  const take = (): number =>
    reader.takeUntil(reader.written, (number, outcome, detail) => told.push([number, outcome, detail]));
  writer.note(0x1_0000_ffff, 0xffff, OUTCOME.reinjected, 3, 1);
  writer.note(0x1_0001_0000, 0xfffe, OUTCOME.dropped, 0, 1); // two CPUs in another order, across a carry
  writer.note(0xffff, 0x0001, OUTCOME.segmented, 64, 1);
  t.equal(take(), 0, 'not yet published');
  writer.publish();
  t.equal(take(), 3);
  t.same(told, [
    [0xffff, OUTCOME.reinjected, 3],
    [0xfffe, OUTCOME.dropped, 0],
    [0x10001, OUTCOME.segmented, 64],
  ]);
  for (let i = 0; i < SLOTS + 5; i++) writer.note(i, i & 0xffff, OUTCOME.reinjected, 1, 1);
  writer.publish();
  t.equal(reader.missed, 5);
  t.equal(take(), SLOTS);
  t.equal(take(), 0);
  const bad = path.join(os.tmpdir(), 'vnet-bpf-test-none');
  fs.writeFileSync(bad, '');
  t.teardown(() => fs.rmSync(bad));
  t.equal(OutcomeWriter.take(fs.openSync(bad, 'w')), null, 'what cannot be mapped is done without');
});
