// SPDX-License-Identifier: MIT
/** What an errno of the socket means for a frame, with a vnet0 and a clock that are made up. */
import t from 'tap';

import type { UnsentFrame } from '../../src/datapath/packet-socket';
import { SharedWords } from '../../src/datapath/shared-memory';
import { LATER, SendFailures } from '../../src/datapath/transmitter';
import { CONTROL } from '../../src/layout';
import { errnoOf } from '../../src/native/libc';

const minus = (name: string): number => -(errnoOf[name] as number);
const ENOBUFS = minus('ENOBUFS');
const ENOMEM = minus('ENOMEM');
const FREE = { linkDown: false, impaired: false, line: null as unknown };
const MTU = 1500;
const LONGEST = MTU + 18;

const GSO = { tcp4: 1, udp: 3, tcp6: 4, udpL4: 5 };

/** A frame of `length` bytes, of which only the virtio_net_hdr is looked at. */
function frameOf(length: number, { flags = 0, type = 0, size = 0, start = 0 } = {}): UnsentFrame {
  const memory = Buffer.alloc(26, 0xff);
  memory.fill(0, 16);
  memory.writeUInt8(flags, 16);
  memory.writeUInt8(type, 17);
  memory.writeUInt16LE(size, 20);
  memory.writeUInt16LE(start, 22);
  return { memory, at: 16, length };
}

class FakeFarEnd {
  up = true;
  mtu = MTU;
  rxDropped = 0;
  looks = 0;
  there = true;
  look(): boolean {
    this.looks++;
    return this.there;
  }
}

function setUp(farEnd: FakeFarEnd | null = new FakeFarEnd()) {
  const control = new SharedWords(new SharedArrayBuffer(CONTROL.size), 0, CONTROL.size);
  const machine = { ms: 1000, drops: 7, now: () => machine.ms, backlogDrops: () => machine.drops };
  const failures = new SendFailures(control, farEnd, machine);
  const judge = (result: number, frame: UnsentFrame, conditions = FREE): number =>
    failures.judge(result, frame, conditions);
  return {
    failures,
    judge,
    control,
    farEnd: farEnd as FakeFarEnd,
    machine,
    pass: (ms: number) => void (machine.ms += ms),
  };
}

t.test('ENOBUFS: what is longer than the MTU, an Ethernet header and a VLAN tag never passes', async (t) => {
  const { judge } = setUp();
  t.equal(judge(ENOBUFS, frameOf(LONGEST)), LATER);
  t.equal(judge(ENOBUFS, frameOf(LONGEST + 1)), CONTROL.refusedToolong);
});

t.test(
  'ENOBUFS: a superpacket passes whole, whatever its segments are, unless the kernel takes it for a plain frame',
  async (t) => {
    const { judge } = setUp();
    for (const [name, type, headers] of [
      ['TCP over IPv4', GSO.tcp4, 20],
      ['TCP over IPv6', GSO.tcp6, 20],
      ['TCP with ECN', GSO.tcp4 | 0x80, 20],
      ['UDP', GSO.udpL4, 8],
      ['UFO', GSO.udp, 0],
    ] as const) {
      const start = 34;
      const asked = (size: number): UnsentFrame => frameOf(3000, { flags: 1, type, start, size });
      t.equal(judge(ENOBUFS, asked(3000 - start - headers - 1)), LATER, `${name}: a byte more than a segment`);
      t.equal(judge(ENOBUFS, asked(3000 - start - headers)), CONTROL.refusedToolong, `${name}: no more than a segment`);
    }
  },
);

t.test(
  'ENOBUFS: where only the kernel knows whether it is a superpacket, its counters tell, and not a full ring of NAPI',
  async (t) => {
    const { judge, farEnd, machine } = setUp();
    t.equal(
      judge(ENOBUFS, frameOf(3000, { type: GSO.tcp4, size: 60000 })),
      CONTROL.refusedToolong,
      'it is none whatever its headers are',
    );
    const frame = frameOf(3000, { type: GSO.tcp4, size: 2900 });
    for (let i = 0; i < 5; i++) t.equal(judge(ENOBUFS, frame), LATER, 'vnet0 has dropped nothing meanwhile');
    farEnd.rxDropped++;
    machine.drops++;
    t.equal(judge(ENOBUFS, frame), LATER, 'a backlog was full');
    farEnd.rxDropped++;
    t.equal(judge(ENOBUFS, frame), CONTROL.refusedToolong);
  },
);

t.test('the MTU is read anew when there is a doubt, but not for each frame', async (t) => {
  const { judge, farEnd, pass } = setUp();
  const frame = frameOf(3000);
  for (let i = 0; i < 100; i++) judge(ENOBUFS, frame);
  t.equal(farEnd.looks, 1);
  farEnd.mtu = 9000;
  pass(10);
  t.equal(judge(ENOBUFS, frame), LATER, 'raised: a full backlog is the reason');
  farEnd.mtu = 1500;
  pass(10);
  t.equal(judge(ENOBUFS, frame), CONTROL.refusedToolong, 'lowered again');
});

t.test('down, gone, impaired', async (t) => {
  const { judge, farEnd, pass, control } = setUp();
  farEnd.up = false;
  t.equal(judge(ENOBUFS, frameOf(60)), CONTROL.refusedDown);
  pass(10);
  farEnd.there = false;
  t.equal(judge(ENOBUFS, frameOf(3000)), LATER, 'nobody knows its MTU');
  t.equal(judge(minus('EAGAIN'), frameOf(60), { ...FREE, linkDown: true }), CONTROL.refusedDown);
  farEnd.there = true;
  t.equal(judge(ENOBUFS, frameOf(3000), { ...FREE, impaired: true }), LATER, 'the qdisc is full');
  t.equal(
    judge(ENOBUFS, frameOf(3000), { ...FREE, impaired: true, line: {} }),
    CONTROL.impairOverflow,
    'so is that of a line, which loses what it has no space for',
  );
  t.equal(judge(minus('EAGAIN'), frameOf(60), { ...FREE, impaired: true, line: {} }), LATER);
  t.equal(control.get64(CONTROL.reinjectRetries), 3);
});

t.test(
  'ENOMEM: a superpacket with a partial checksum is invalid at once, one that is segmented at the second time, a plain frame never',
  async (t) => {
    const { judge, failures } = setUp();
    t.equal(judge(ENOMEM, frameOf(200, { flags: 1, type: GSO.tcp4, size: 100, start: 34 })), CONTROL.refusedInvalid);
    failures.passed(false);
    const segmented = frameOf(200, { type: GSO.tcp4, size: 100 });
    t.equal(judge(ENOMEM, segmented), LATER);
    t.equal(judge(ENOMEM, segmented), CONTROL.refusedInvalid);
    failures.passed(true);
    t.equal(
      judge(ENOMEM, segmented),
      CONTROL.refusedInvalid,
      'sendmmsg had stopped in front of it: that was the first',
    );
    failures.passed(false);
    for (let i = 0; i < 10; i++) t.equal(judge(ENOMEM, frameOf(200)), LATER);
  },
);

for (const [name, errno] of [
  ['ENOBUFS', ENOBUFS],
  ['ENOMEM', ENOMEM],
] as const) {
  t.test(`${name} that nothing explains: given up after a second, not before`, async (t) => {
    const { judge, failures, pass } = setUp();
    let verdict = LATER;
    let ms = 0;
    for (let tries = 0; verdict === LATER && ms < 10_000; tries++) {
      verdict = judge(errno, frameOf(60));
      if (tries % 9 !== 8) continue;
      pass(50);
      ms += 50;
    }
    t.equal(verdict, CONTROL.refusedError);
    t.ok(ms >= 1000, `after ${ms} ms`);
    failures.passed(false);
    t.equal(judge(errno, frameOf(60)), LATER, 'the next frame has a second of its own');
  });
}

t.test('a frame that waits while backlogs are full waits as long as it takes', async (t) => {
  const { judge, pass, machine } = setUp();
  for (let polls = 0; polls < 1000; polls++) {
    for (let tries = 0; tries < 9; tries++)
      if (judge(ENOBUFS, frameOf(60)) !== LATER) return t.fail(`refused in poll ${polls}`);
    machine.drops++;
    pass(50);
  }
  t.pass();
});

t.test('without a veth there is nobody to ask', async (t) => {
  const { judge, failures } = setUp(null);
  t.equal(judge(ENOBUFS, frameOf(3000)), LATER);
  t.equal(judge(minus('EMSGSIZE'), frameOf(3000)), CONTROL.refusedToolong);
  t.equal(failures.longestFrame(), Infinity);
});
