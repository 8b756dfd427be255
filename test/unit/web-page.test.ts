// SPDX-License-Identifier: MIT
/** One page of `vnet-bpf web`: what it is sent, and no longer is if it does not read. P7 of docs/SECURITY.md. */
import { EventEmitter } from 'node:events';

import t from 'tap';
import type { WebSocket } from 'ws';

import { tookOf } from '../../src/capture/comment';
import type { RecordedPacket } from '../../src/capture/contract';
import type { RecordedFrame } from '../../src/capture/trace-ring';
import { OUTCOME } from '../../src/datapath/outcomes';
import type { Attachment } from '../../src/state/store';
import { FrameBatch, FrameFeed, summaryLine } from '../../src/web/frames';
import { named } from '../../src/web/interfaces';
import { Live } from '../../src/web/live';
import { PageConnection } from '../../src/web/page-connection';
import type { FromServer } from '../../src/web/protocol';

/** A WebSocket whose other side reads when the test says so. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  terminated = false;
  pings = 0;
  readonly sent: FromServer[] = [];

  send(text: string): void {
    this.sent.push(JSON.parse(text) as FromServer);
  }
  ping(): void {
    this.pings++;
  }
  terminate(): void {
    this.terminated = true;
  }
}

async function opened(): Promise<{ socket: FakeSocket; page: PageConnection; live: Live }> {
  const socket = new FakeSocket();
  const live = new Live(() => [], '1.2.3', false);
  return { socket, live, page: new PageConnection(socket as unknown as WebSocket, live) };
}

const frame = (outcome: number, faults: number[] | null = null): RecordedFrame =>
  ({ ending: 'told', outcome, time: 1000, endedAt: 51_000, faults, bytes: new Uint8Array(20) }) as RecordedFrame;
const packet = { high: 0, low: 5_000_000, length: 60, comment: 'captured, reinjected' } as RecordedPacket;

t.test('P7: readings and frames wait until a page reads; what is missing is counted', async (t) => {
  const { socket, page, live } = await opened();
  await using _ = live;
  socket.emit('message', Buffer.from('{"type":"watch","interface":"vnet0","frames":{"filter":""}}'), false);
  const feed = live.feedOf('vnet0');
  const hear = (times: number): void => {
    for (let i = 0; i < times; i++)
      if (feed.wants(frame(OUTCOME.reinjected))) feed.heard(packet, frame(OUTCOME.reinjected));
  };
  hear(3);
  page.showReading('{"type":"stats","time":1}', '');
  page.showFrames(null);
  t.match(socket.sent.slice(1), [
    { type: 'stats', time: 1 },
    { type: 'frames', missed: 0, frames: { length: 3 } },
  ]);

  socket.bufferedAmount = 300 << 10;
  const before = socket.sent.length;
  for (let i = 0; i < 100; i++) {
    hear(10);
    page.showReading('{"type":"stats","time":2}', '');
    page.showFrames(null);
  }
  t.equal(socket.sent.length, before, 'nothing is sent');
  socket.bufferedAmount = 0;
  page.showReading('{"type":"stats","time":3}', '');
  page.showFrames(null);
  t.match(
    socket.sent.slice(before),
    [
      { type: 'stats', time: 3 },
      { type: 'frames', missed: 950, frames: { length: 50, 49: { number: 53 } } },
    ],
    'then the present, the first 50 frames, and how many more there were',
  );

  socket.bufferedAmount = 2 << 20;
  socket.emit('message', Buffer.from('{"type":"watch","interface":"vnet0","frames":{"filter":"nonsense"}}'), false);
  t.ok(socket.terminated, 'a page that goes on asking, and does not read, is given up');
  socket.emit('close');
});

t.test('a page that does not answer is given up', async (t) => {
  const { socket, page, live } = await opened();
  await using _ = live;
  page.check();
  socket.emit('pong');
  page.check();
  t.equal(socket.terminated, false);
  page.check();
  t.same([socket.terminated, socket.pings], [true, 2]);
  socket.emit('close');
});

t.test('frames: their kinds, and the round trips of those that passed', async (t) => {
  const feed = new FrameFeed(Promise.resolve());
  const batch = new FrameBatch('');
  feed.add(batch);
  t.equal(feed.latency, null);
  for (const outcome of [OUTCOME.reinjected, OUTCOME.dropped, OUTCOME.changed, OUTCOME.segmented, OUTCOME.delayed, 2])
    if (feed.wants(frame(outcome))) feed.heard(packet, frame(outcome));
  t.same(
    batch.take('vnet0', null)?.frames.map(({ kind, time }) => [kind, time]),
    ['passed', 'dropped', 'changed', 'changed', 'delayed', 'dropped'].map((kind) => [kind, 5]),
  );
  for (const [outcome, detail, took] of [
    [OUTCOME.reinjected, 0, 0.05],
    [OUTCOME.delayed, 200, 20.05],
    [OUTCOME.dropped, 0, null],
  ] as const)
    t.equal(tookOf({ ...frame(outcome), detail } as RecordedFrame), took, 'when it arrives, in milliseconds');
  t.equal(tookOf({ ...frame(OUTCOME.reinjected), ending: 'untold' } as RecordedFrame), null);
  t.same(feed.latency, { p50: 50, p99: 50 }, 'in microseconds');
  t.equal(batch.take('vnet0', null), null, 'nothing is new');
  const why = { message: 'somebody records it already', hint: null };
  t.match(batch.take('vnet0', why), { frames: [], unavailable: why });
  t.equal(batch.take('vnet0', why), null, 'it is said once');
  t.match(batch.take('vnet0', null), { unavailable: null }, 'and so is the end of it');
  feed.delete(batch);
  t.equal(feed.wants(frame(OUTCOME.reinjected)), false, 'no comment is made for nobody');
});

t.test('a frame in a line', async (t) => {
  t.equal(summaryLine(new Uint8Array(5)), 'shorter than an Ethernet header');
  t.match(summaryLine(new Uint8Array(14)), /^ethernet 00:00:00:00:00:00 > /);
  for (let length = 0; length < 256; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i === 12 ? 8 : i === 13 ? 0 : i === 14 ? 0x45 : i));
    t.ok(summaryLine(bytes).length > 0, `${length} bytes of it`);
  }
});

t.test('each interface has a name of its own', async (t) => {
  const attachment = (id: string, iface: string): Attachment =>
    ({ id, iface, pid: 0, netns: { name: null, inode: 0, cookie: null, boot: null } }) as Attachment;
  t.same(
    named([attachment('1', 'vnet0'), attachment('2', 'vnet0'), attachment('3', 'vnet1')]).map(({ name }) => name),
    ['vnet0 (1)', 'vnet0 (2)', 'vnet1'],
  );
});
