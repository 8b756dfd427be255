// SPDX-License-Identifier: MIT
/** poll(budget) with a hook: what is sent, what is counted, and that the accounting holds wherever it is killed. */
import t from 'tap';

import { LineQueue } from '../../src/datapath/line-queue';
import { BATCH } from '../../src/layout';
import { errnoOf } from '../../src/native/libc';
import { ethernet, Frame, ipv4, tcp, udp } from '../../src/packet';
import { fakeClock } from '../helpers/fake-clock';
import { FakeHookedNic } from '../helpers/fake-hooked-nic';
import { onesComplement } from '../helpers/ones-complement';
import { Random } from '../helpers/random';

const minus = (name: string): number => -(errnoOf[name] as number);
const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IP = { source: '10.77.0.1', destination: '10.77.0.2' };

/** A datagram whose number is its destination port. */
const numbered = (i: number): Uint8Array =>
  ethernet(LINK, ipv4(IP, udp({ sourcePort: 1, destinationPort: i }, Buffer.alloc(i % 50))));
const numberOf = (frame: Uint8Array): number => Frame.of(frame).udp?.destinationPort ?? -1;

/** A superpacket of TCP and its virtio_net_hdr: the checksum is left to whatever segments it. */
function superpacket(bytes: number): { frame: Uint8Array; vnet: Buffer } {
  const frame = ethernet(
    LINK,
    ipv4(IP, tcp({ sourcePort: 1, destinationPort: 2, sequence: 0, flags: 16 }, Buffer.alloc(bytes, 'x'))),
  );
  return { frame, vnet: header(1, 1, 34, 16, 1000) };
}

function header(flags: number, gsoType: number, checksumStart: number, checksumOffset: number, gsoSize = 0): Buffer {
  const vnet = Buffer.alloc(10);
  vnet[0] = flags;
  vnet[1] = gsoType;
  vnet.writeUInt16LE(gsoSize, 4);
  vnet.writeUInt16LE(checksumStart, 6);
  vnet.writeUInt16LE(checksumOffset, 8);
  return vnet;
}

t.test('pass: the record itself is sent, its virtio_net_hdr with it', async (t) => {
  const nic = new FakeHookedNic().use({ frame: () => 'pass' });
  const vnet = header(1, 0, 34, 6);
  nic.put(numbered(7), vnet);
  t.equal(nic.poller.poll(), 1);
  t.ok(nic.sent[0]?.vnet.equals(vnet));
  t.ok(nic.sent[0]?.frame.equals(numbered(7)));
  t.same(nic.accounting(), { in: 1, out: 1 });
});

t.test('drop, replace, inject: sent in their order, counted one by one', async (t) => {
  const nic = new FakeHookedNic();
  nic.use({
    frame: (frame, context) => {
      const i = frame.udp?.destinationPort ?? 0;
      if (i % 3 === 1) return 'drop';
      if (i % 3 === 2) return numbered(100 + i);
      context.inject(numbered(200 + i));
      return undefined;
    },
  });
  for (let i = 0; i < 6; i++) nic.put(numbered(i));
  t.equal(nic.poller.poll(), 6);
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [0, 200, 102, 3, 203, 105],
  );
  t.equal(nic.counter('hooksDropped'), 2);
  t.equal(nic.counter('hooksInjected'), 2);
  t.equal(nic.counter('rxPackets'), 6);
  t.same(nic.accounting(), { in: 8, out: 8 });
});

t.test('bytes of a frame whose checksum was left to hardware are complete', async (t) => {
  const nic = new FakeHookedNic();
  let seen: Uint8Array = Buffer.alloc(0);
  nic.use({ frame: (frame) => ((seen = frame.copy()), frame.bytes) });
  const frame = numbered(40);
  const broken = Uint8Array.from(frame);
  // What the stack leaves there: the sum of the pseudo-header.
  const pseudo = 0x0a4d + 0x0001 + 0x0a4d + 0x0002 + 17 + 48;
  broken[40] = pseudo >>> 8;
  broken[41] = pseudo & 0xff;
  nic.put(broken, header(1, 0, 34, 6));
  nic.poller.poll();
  t.ok(Buffer.from(seen).equals(frame), 'as a wire would carry it');
  t.ok(nic.sent[0]?.frame.equals(frame));
  t.ok(nic.sent[0]?.vnet.equals(Buffer.alloc(10)), 'and nothing is left to be done');
});

t.test('a superpacket that passes in all its pieces goes as it came', async (t) => {
  const nic = new FakeHookedNic();
  const lengths: number[] = [];
  nic.use({ frame: (frame) => void lengths.push(frame.length) });
  const { frame, vnet } = superpacket(4321);
  nic.put(frame, vnet);
  t.equal(nic.poller.poll(), 1);
  t.same(lengths, [1054, 1054, 1054, 1054, 375]);
  t.equal(nic.sent.length, 1);
  t.ok(nic.sent[0]?.frame.equals(frame) && nic.sent[0].vnet.equals(vnet));
  t.same(nic.accounting(), { in: 1, out: 1 });
});

t.test('one that does not is sent in pieces: those beyond one count as injected', async (t) => {
  const nic = new FakeHookedNic();
  let count = 0;
  nic.use({
    frame: (frame) => {
      count++;
      if (count === 2) return 'drop';
      if (count === 3) frame.bytes.fill(0xff); // written to, but it passes: it goes as it was
      if (count === 4) return frame.bytes;
      return 'pass';
    },
  });
  const { frame, vnet } = superpacket(4321);
  nic.put(frame, vnet);
  t.equal(nic.poller.poll(), 1);
  t.equal(nic.sent.length, 4);
  t.same(
    nic.sent.map((sent) => Frame.of(sent.frame).tcp?.sequence),
    [0, 2000, 3000, 4000],
  );
  for (const sent of nic.sent) t.equal(onesComplement(sent.frame), 0xffff, 'its checksum is complete');
  t.equal(nic.counter('hooksInjected'), 4);
  t.equal(nic.counter('hooksDropped'), 1);
  t.same(nic.accounting(), { in: 5, out: 5 });
});

t.test('whole: shown whole, and a changed one stays a superpacket', async (t) => {
  const nic = new FakeHookedNic();
  nic.use({ whole: true, frame: (frame) => ((frame.bytes[29] = 99), frame.bytes) });
  const { frame, vnet } = superpacket(4321);
  nic.put(frame, vnet);
  nic.poller.poll();
  const sent = nic.sent[0];
  t.ok(sent?.vnet.equals(vnet));
  t.equal(Frame.of(sent?.frame ?? Buffer.alloc(0)).ipv4?.source, '10.77.0.99');
  // The kernel goes on from the sum of the pseudo-header, which has the new address in it.
  const pseudo = 0x0a4d + 0x0063 + 0x0a4d + 0x0002 + 6 + 4341;
  t.equal(sent?.frame.readUInt16BE(50), pseudo & 0xffff);
});

t.test('errors and wrong answers: counted, named, and the frame passes', async (t) => {
  const nic = new FakeHookedNic();
  const answers: unknown[] = [
    42,
    null,
    {},
    'pas',
    Promise.resolve('pass'),
    new Uint8Array(0),
    new Uint8Array(13),
    new Uint8Array(100_000),
    [1],
    true,
  ];
  const frames = answers.length + 1;
  nic.use({
    frame: () => {
      if (answers.length === 0) throw new TypeError('no more');
      return answers.shift() as undefined;
    },
  });
  for (let i = 0; i < frames; i++) nic.put(numbered(i));
  t.equal(nic.poller.poll(), frames);
  t.equal(nic.counter('hooksErrors'), frames);
  t.equal(nic.sent.length, frames);
  t.match(nic.reports[0], /hook \/hooks\/test\.js:1: answered with 42/);
  t.match(nic.reports.join('\n'), /a promise[\s\S]*0 bytes[\s\S]*100000 bytes[\s\S]*TypeError: no more/);
  t.same(nic.accounting(), { in: frames, out: frames });
});

t.test('more answers to one superpacket than there is memory for', async (t) => {
  const nic = new FakeHookedNic().use({ frame: () => new Uint8Array(65_000) });
  const { frame, vnet } = superpacket(60_000);
  vnet.writeUInt16LE(200, 4);
  nic.put(frame, vnet);
  t.equal(nic.poller.poll(), 1);
  t.ok(nic.counter('hooksErrors') > 0);
  t.match(nic.reports[0], 'more for one superpacket than there is memory for');
  t.equal(nic.sent.length, 300, 'the others pass');
  t.same(nic.accounting().in, nic.accounting().out);
});

t.test('on error: drop, or off with the hook', async (t) => {
  const fails = (): never => {
    throw new Error('always');
  };
  const dropping = new FakeHookedNic().use({ frame: fails });
  dropping.host.onError = 'drop';
  const leaving = new FakeHookedNic().use({ frame: fails });
  leaving.host.onError = 'detach';
  for (const nic of [dropping, leaving]) {
    for (let i = 0; i < 5; i++) nic.put(numbered(i));
    nic.poller.poll();
    t.same(nic.accounting().in, nic.accounting().out);
  }
  t.equal(dropping.counter('hooksDropped'), 5);
  t.equal(leaving.sent.length, 5);
  t.equal(leaving.counter('hooksErrors'), 1, 'it is asked no more');
  t.equal(leaving.host.active, null);
});

t.test('a frame that is kept says so when it is looked at later', async (t) => {
  const nic = new FakeHookedNic();
  let kept: Frame | undefined;
  let port: Frame['udp'] = null;
  nic.use({ frame: (frame) => ((kept = frame), (port = frame.udp), undefined) });
  nic.put(numbered(1));
  nic.poller.poll();
  t.throws(() => kept?.bytes, /after the hook had returned/);
  t.throws(() => kept?.length, /copy\(\)/);
  t.throws(() => kept?.ipv4, /copy\(\)/);
  t.throws(() => port?.destinationPort, /copy\(\)/);
});

t.test('what the socket does not take stays planned: the hook sees each frame once', async (t) => {
  const nic = new FakeHookedNic(4);
  const seen: number[] = [];
  nic.use({ frame: (frame) => void seen.push(frame.udp?.destinationPort ?? -1) });
  for (let i = 0; i < 10; i++) nic.put(numbered(i));
  nic.answers = [2, ...Array<number>(9).fill(minus('ENOBUFS')), 1, ...Array<number>(9).fill(minus('EAGAIN'))];
  t.equal(nic.poller.poll(), 2);
  t.ok(nic.poller.blocked);
  t.ok(nic.poller.hasMore);
  t.equal(nic.poller.poll(), 1);
  while (nic.poller.poll() > 0);
  t.same(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    seen,
  );
  t.same(nic.accounting(), { in: 10, out: 10 });
});

t.test('injections alone are sent, more than one plan can hold as well', async (t) => {
  const nic = new FakeHookedNic();
  for (let i = 0; i < 3000; i++) nic.injections.add(numbered(i));
  nic.put(numbered(5000));
  while (nic.poller.poll() > 0 || nic.poller.hasMore);
  t.equal(nic.sent.length, 3001);
  t.ok(
    nic.sent.findIndex(({ frame }) => numberOf(frame) === 5000) < 600,
    'frames of the ring do not wait for all of them',
  );
  t.same(nic.accounting(), { in: 3001, out: 3001 });
});

t.test('step: one record at a time, judged by somebody else', async (t) => {
  const nic = new FakeHookedNic().use({ frame: () => 'pass' });
  for (let i = 0; i < 4; i++) nic.put(numbered(i));
  t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 0);
  t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 0, 'looking takes nothing away');
  t.equal(nic.poller.step('drop'), true);
  t.equal(nic.poller.step(numbered(77)), true);
  t.equal(nic.poller.step('pass'), true);
  t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 3);
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [77, 2],
  );
  t.same(nic.accounting(), { in: 4, out: 4 });
  nic.poller.step('pass');
  t.equal(nic.poller.step('pass'), false, 'nothing is left');
  t.equal(nic.poller.peek(), null);
});

t.test(
  'step: what the socket does not take, and what is injected, is sent before the next record is shown',
  async (t) => {
    const nic = new FakeHookedNic().use({ frame: () => 'pass' });
    for (let i = 0; i < 3; i++) nic.put(numbered(i));
    nic.answers = Array<number>(20).fill(minus('EAGAIN'));
    t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 0);
    t.equal(nic.poller.step(numbered(77)), false, 'the socket is full');
    t.same(nic.sent, []);
    for (let i = 0; i < 100 && nic.poller.peek() === null; i++);
    t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 1, 'the frame has left the ring');
    nic.injections.add(numbered(78));
    nic.poller.flush();
    nic.injections.add(numbered(79));
    t.equal(numberOf(nic.poller.peek()?.bytes ?? Buffer.alloc(0)), 1, 'the record is still there');
    nic.poller.step('drop');
    nic.poller.step('pass');
    t.same(
      nic.sent.map(({ frame }) => numberOf(frame)),
      [77, 78, 79, 2],
    );
    t.same(nic.accounting(), { in: 5, out: 5 });
  },
);

t.test(
  'frames that never pass: longer than the MTU out of a hook or injected, and superpackets that cannot be segmented',
  async (t) => {
    const nic = new FakeHookedNic();
    nic.farEnd = { look: () => true, up: true, mtu: 1500, rxDropped: 0 };
    nic.newPoller();
    const long = Buffer.alloc(1519);
    nic.use({ frame: (frame: Frame) => (numberOf(Buffer.from(frame.bytes)) === 1 ? long : 'pass') });
    for (let i = 0; i < 4; i++) nic.put(numbered(i));
    nic.injections.add(long);
    const enobufs = minus('ENOBUFS');
    nic.answers = [enobufs, 1, enobufs, 'all']; // the injected one goes first
    nic.poller.poll();
    t.notOk(nic.poller.blocked);
    t.equal(nic.counter('refusedToolong'), 2);
    t.same(
      nic.sent.map(({ frame }) => numberOf(frame)),
      [0, 2, 3],
    );
    const { frame, vnet } = superpacket(3500);
    nic.use({ frame: () => 'pass', whole: true });
    nic.put(frame, vnet);
    nic.put(numbered(4));
    nic.answers = [minus('ENOMEM'), 'all'];
    nic.poller.poll();
    t.equal(nic.counter('refusedInvalid'), 1);
    t.equal(nic.sent.length, 4);
    const { in: entered, out } = nic.accounting();
    t.equal(entered, out);
  },
);

t.test('a line whose queue is full loses what comes', async (t) => {
  const nic = new FakeHookedNic();
  nic.use({ frame: () => 'pass' });
  for (let i = 0; i < 4; i++) nic.put(numbered(i));
  nic.poller.impaired = true;
  nic.poller.line = new LineQueue({ bytesPerSecond: 1, queueMs: 100 });
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [0],
  );
  t.equal(nic.counter('impairOverflow'), 3);
  t.equal(nic.counter('drained'), 4);
});

t.test('delay: the frame leaves the ring at once, and its memory when it is due', async (t) => {
  const time = fakeClock(t);
  const nic = new FakeHookedNic();
  nic.use({
    frame: (frame) =>
      numberOf(frame.bytes) === 1
        ? { delay: 20 }
        : numberOf(frame.bytes) === 2
          ? { delay: 10, frame: numbered(12) }
          : 'pass',
  });
  const vnet = header(1, 0, 34, 6);
  nic.put(numbered(1), vnet);
  nic.put(numbered(2));
  nic.put(numbered(3));
  t.equal(nic.poller.poll(), 3);
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [3],
    'others overtake them',
  );
  t.same([nic.counter('hooksDelayed'), nic.counter('hooksReleased'), nic.waits], [2, 0, 2]);
  t.same(nic.accounting(), { in: 3, out: 3 }, 'while they wait, too');
  t.equal(nic.poller.hasMore, false);
  t.ok(nic.poller.due > 0 && nic.poller.due < Infinity);
  nic.poller.poll();
  t.equal(nic.sent.length, 1, 'not yet');
  time.now += 25;
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [3, 12, 1],
  );
  t.same(
    [nic.sent[2]?.vnet.equals(vnet), nic.sent[1]?.vnet.equals(Buffer.alloc(10))],
    [true, true],
    'a frame that passes keeps its virtio_net_hdr',
  );
  t.same([nic.counter('hooksReleased'), nic.waits, nic.poller.due], [2, 0, Infinity]);
  t.same(nic.accounting(), { in: 3, out: 3 });
});

t.test('delay: a superpacket waits as one if all of it waits equally long', async (t) => {
  const time = fakeClock(t);
  const { frame, vnet } = superpacket(4321);
  const together = new FakeHookedNic().use({ frame: () => ({ delay: 1 }) });
  together.put(frame, vnet);
  together.poller.poll();
  t.equal(together.waits, 1);
  time.now += 2;
  together.poller.poll();
  t.ok(together.sent.length === 1 && together.sent[0]?.frame.equals(frame) && together.sent[0].vnet.equals(vnet));
  const apart = new FakeHookedNic();
  let count = 0;
  apart.use({
    frame: () =>
      [{ delay: 3 }, 'drop', 'pass', { delay: 1 }, { delay: 2, frame: numbered(5) }][count++] as { delay: number },
  });
  apart.put(frame, vnet);
  apart.poller.poll();
  t.same(
    apart.sent.map((sent) => Frame.of(sent.frame).tcp?.sequence),
    [2000],
  );
  t.equal(apart.waits, 3);
  t.same(apart.accounting(), { in: 5, out: 5 });
  time.now += 5;
  apart.poller.poll();
  t.same(
    apart.sent.slice(1).map((sent) => Frame.of(sent.frame).tcp?.sequence),
    [3000, undefined, 0],
  );
  for (const sent of apart.sent) t.equal(onesComplement(sent.frame), 0xffff, 'its checksum is complete');
  t.same(apart.accounting(), { in: 5, out: 5 });
});

t.test('delay: what does not fit into the memory stays in the ring', async (t) => {
  const time = fakeClock(t);
  const nic = new FakeHookedNic();
  nic.newPoller(8 * 2048);
  nic.use({ frame: () => ({ delay: 5 }) });
  for (let i = 0; i < 20; i++) nic.put(numbered(i));
  t.equal(nic.poller.poll(), 7, 'a frame that might need two blocks is not judged');
  t.same([nic.waits, nic.poller.blocked, nic.counter('captured') - nic.counter('drained')], [7, true, 13]);
  t.same(nic.accounting(), { in: 20, out: 20 });
  for (let turn = 0; turn < 10 && nic.sent.length < 20; turn++) {
    time.now += 6;
    nic.poller.poll();
  }
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    Array.from({ length: 20 }, (_, i) => i),
    'all arrive, in their order',
  );
  nic.use({ frame: () => ({ delay: 5, frame: new Uint8Array(60_000) }) });
  nic.put(numbered(1));
  nic.poller.poll();
  t.match(nic.reports.at(-1), /a delay for more than there is memory for; the frame passes unjudged/);
  t.same(nic.accounting(), { in: 21, out: 21 });
});

t.test('delay: an injected frame waits, too', async (t) => {
  const time = fakeClock(t);
  const nic = new FakeHookedNic();
  nic.use({ frame: (_, context) => (context.inject(numbered(7), 2), context.inject(numbered(6)), undefined) });
  nic.put(numbered(1));
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [1, 6],
  );
  t.same([nic.waits, nic.counter('hooksInjected')], [1, 2]);
  t.same(nic.accounting(), { in: 3, out: 3 });
  time.now += 3;
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [1, 6, 7],
  );
  const alone = new FakeHookedNic();
  alone.injections.add(numbered(9), 1);
  alone.poller.poll();
  t.same([alone.waits, alone.sent.length], [1, 0], 'also where nothing else is to be sent');
  t.same(alone.accounting(), { in: 1, out: 1 });
});

t.test('delay: while an injected frame does not fit into the memory, nothing is polled again at once', async (t) => {
  const time = fakeClock(t);
  const nic = new FakeHookedNic();
  nic.newPoller(4 * 2048);
  for (let i = 0; i < 6; i++) nic.injections.add(numbered(i), 5);
  nic.poller.poll();
  t.ok(nic.poller.hasMore);
  t.same([nic.waits, nic.poller.blocked], [3, true], 'the fourth might need two blocks');
  t.equal(nic.poller.due, time.now + 5, 'until there is space');
  for (let turn = 0; turn < 6; turn++) {
    time.now += 6;
    nic.poller.poll();
  }
  t.same([nic.sent.length, nic.poller.blocked, nic.poller.hasMore], [6, false, false]);
});

t.test('delay: frames that wait when the thread ends are lost, and counted', async (t) => {
  const nic = new FakeHookedNic().use({ frame: () => ({ delay: 1000 }) });
  nic.put(numbered(1));
  nic.put(numbered(2));
  nic.poller.poll();
  nic.newPoller();
  t.same([nic.waits, nic.counter('hooksLost')], [0, 2]);
  nic.put(numbered(3));
  nic.poller.poll();
  t.same([nic.waits, nic.counter('hooksLost'), nic.counter('hooksDelayed')], [1, 2, 3]);
  t.same(nic.accounting(), { in: 3, out: 3 });
  nic.newPoller();
  nic.newPoller();
  t.same([nic.waits, nic.counter('hooksLost')], [0, 3], 'once each');
});

t.test('delay: none is released before what was planned earlier has been sent', async (t) => {
  const time = fakeClock(t);
  const nic = new FakeHookedNic();
  nic.use({ frame: (frame) => (numberOf(frame.bytes) === 1 ? { delay: 0.1 } : 'pass') });
  nic.put(numbered(1));
  nic.put(numbered(2));
  nic.answers = Array.from({ length: 20 }, () => minus('ENOBUFS'));
  nic.poller.poll();
  t.same([nic.poller.blocked, nic.poller.due, nic.waits], [true, Infinity, 0], 'it is not counted yet, and not due');
  time.now += 1;
  nic.answers = [];
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [2],
  );
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => numberOf(frame)),
    [2, 1],
  );
  t.same(nic.accounting(), { in: 2, out: 2 });
});

t.test('delay: wrong ones are errors', async (t) => {
  const nic = new FakeHookedNic();
  const answers: unknown[] = [
    { delay: -1 },
    { delay: NaN },
    { delay: '5' },
    { delay: 4e6 },
    { delay: 5, frame: 'x' },
    { delay: 5, frame: new Uint8Array(3) },
    {},
  ];
  const frames = answers.length;
  nic.use({ frame: () => answers.shift() as undefined });
  for (let i = 0; i < frames; i++) nic.put(numbered(i));
  nic.poller.poll();
  t.equal(nic.counter('hooksErrors'), frames);
  t.same([nic.sent.length, nic.waits], [frames, 0], 'such frames pass');
  t.match(
    nic.reports.join('\n'),
    /a delay of -1: it has 0 to 3600000 milliseconds[\s\S]*a delay of NaN[\s\S]*a delay of "5"[\s\S]*a delay of 4000000/,
  );
});

t.test('killed anywhere, the next one goes on and the accounting holds', async (t) => {
  const random = Random.announced(t);
  const wrong: string[] = [];
  for (let run = 0; run < 100; run++) {
    const nic = new FakeHookedNic(random.between(1, 20));
    let put = 0;
    const hook = {
      frame: (frame: Frame, context: { inject(frame: Uint8Array, delay?: number): void }) => {
        if (random.chance(20)) context.inject(numbered(9999), random.pick([0, 0.001, 1000]));
        const delay = random.pick([0, 0.001, 1000]);
        return random.pick([
          'pass',
          'drop',
          numbered(8888),
          frame.bytes,
          { delay },
          { delay, frame: numbered(7777) },
        ] as const);
      },
    };
    nic.use(hook);
    for (let round = 0; round < 12; round++) {
      for (let i = random.between(0, 8); i > 0; i--, put++) {
        const { frame, vnet } = superpacket(3500);
        if (random.chance(30)) nic.put(frame, vnet);
        else nic.put(numbered(put));
      }
      nic.answers = Array.from({ length: 4 }, () =>
        random.pick([1, 2, 'all', minus('EINVAL'), minus('ENOBUFS'), Number.NaN] as const),
      );
      try {
        nic.poller.poll();
      } catch (error) {
        if ((error as Error).message !== 'killed') throw error;
        nic.newPoller();
      }
      const { in: entered, out } = nic.accounting();
      if (entered !== out) wrong.push(`run ${run}, round ${round}: ${entered} in, ${out} out`);
      if (nic.log.get32(BATCH.count) !== 0) wrong.push(`run ${run}, round ${round}: a batch is still under way`);
    }
    nic.answers = [];
    do nic.poller.hasten();
    while (nic.poller.poll() > 0 || nic.poller.hasMore);
    if (nic.waits !== 0 || nic.waiting.length > 0) wrong.push(`run ${run}: ${nic.waits} still wait`);
    if (nic.counter('drained') !== put) wrong.push(`run ${run}: ${nic.counter('drained')} of ${put} drained`);
  }
  t.same(wrong, []);
});
