// SPDX-License-Identifier: MIT
/** Frames that lie to a hook, and hooks that throw or return invalid verdicts. */
import t from 'tap';

import type { OnHookError, Verdict } from '../../src/hooks/contract';
import { frameMark, VITALS } from '../../src/hooks/event-loop';
import { ethernet, Frame, ipv4, ipv6, tcp, udp } from '../../src/packet';
import { GSO } from '../../src/packet/offload';
import { FakeHookedNic, PLAIN } from '../helpers/fake-hooked-nic';
import { virtioHeader } from '../helpers/fuzz-records';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const FORBIDDEN = 666;

const segment = (destinationPort: number, bytes = 3000): Buffer =>
  Buffer.from(
    ethernet(LINK, ipv4(V4, tcp({ sourcePort: 1, destinationPort, sequence: 0, flags: 16 }, Buffer.alloc(bytes)))),
  );
const datagram = (destinationPort: number): Buffer =>
  Buffer.from(ethernet(LINK, ipv4(V4, udp({ sourcePort: 1, destinationPort }, Buffer.alloc(30)))));

/** With --on-hook-error drop. */
function firewall(frame: (frame: Frame) => Verdict, onError: OnHookError = 'drop'): FakeHookedNic {
  const nic = new FakeHookedNic();
  nic.host.onError = onError;
  return nic.use({ frame });
}

const byPort = (frame: Frame): Verdict => ((frame.tcp ?? frame.udp)?.destinationPort === FORBIDDEN ? 'drop' : 'pass');

t.test('a superpacket with a TCP data offset below its header is judged and sent as plain bytes', async (t) => {
  for (const offset of [0, 1, 4, 15]) {
    const nic = firewall(byPort);
    const frame = segment(80, 20);
    frame[46] = offset << 4;
    nic.put(frame, virtioHeader(1, GSO.tcpv4, 4, 34, 16));
    t.equal(nic.poller.poll(), 1);
    t.same(nic.sent, [{ vnet: PLAIN, frame }], `offset ${offset}`);
    t.equal(nic.counter('hooksErrors'), 0);
    const forbidden = segment(FORBIDDEN, 20);
    forbidden[46] = offset << 4;
    nic.put(forbidden, virtioHeader(1, GSO.tcpv4, 4, 34, 16));
    nic.poller.poll();
    t.equal(nic.counter('hooksDropped'), 1);
    t.same(nic.accounting(), { in: 2, out: 2 });
  }
});

t.test('other superpackets that are not what they say', async (t) => {
  const short = segment(80);
  short.writeUInt16BE(60, 16);
  for (const [what, frame, vnet] of [
    ['a segment size of 0', segment(80), virtioHeader(1, GSO.tcpv4, 0, 34, 16)],
    ['UDP that says TCP', datagram(80), virtioHeader(1, GSO.tcpv4, 10, 34, 16)],
    ['a kind that there is not', segment(80), virtioHeader(1, 0x7f, 1000, 34, 16)],
    ['IP that ends before the frame', short, virtioHeader(1, GSO.tcpv4, 1000, 34, 16)],
    ['a checksum that begins in the payload', segment(80), virtioHeader(1, GSO.tcpv4, 1000, 90, 16)],
  ] as const) {
    const nic = firewall((frame) => (byPort(frame), 'pass'));
    nic.put(frame, vnet);
    nic.poller.poll();
    t.ok(nic.sent[0]?.vnet.equals(PLAIN) && nic.sent[0].frame.equals(frame), what);
    t.equal(nic.counter('hooksErrors'), 0);
  }
});

t.test('one with more pieces than can be shown goes as it is, or not at all', async (t) => {
  const nic = firewall(byPort);
  const vnet = virtioHeader(1, GSO.tcpv4, 1, 34, 16);
  nic.put(segment(80), vnet);
  nic.put(segment(FORBIDDEN), vnet);
  nic.poller.poll(); // which has place for the messages of one
  nic.poller.poll();
  t.equal(nic.sent.length, 1);
  t.ok(nic.sent[0]?.vnet.equals(vnet));
  t.equal(nic.counter('hooksDropped'), 1);
});

t.test('a checksum that lies on a port: what the hook sees is what is received', async (t) => {
  for (const looks of [true, false]) {
    const nic = firewall((frame) => (looks && frame.bytes.length === 0 ? 'drop' : byPort(frame)));
    nic.put(datagram(FORBIDDEN), virtioHeader(1, 0, 0, 34, 2));
    nic.put(datagram(53), virtioHeader(1, 0, 0, 34, 2));
    nic.put(datagram(53), virtioHeader(1, 0, 0, 20, 10));
    nic.put(datagram(53), virtioHeader(1, 0, 0, 60000, 6));
    nic.poller.poll();
    t.same(
      nic.sent.map(({ vnet, frame }) => [vnet, Frame.of(frame).udp?.destinationPort]),
      [
        [PLAIN, 53],
        [PLAIN, 53],
        [PLAIN, 53],
      ],
    );
    t.equal(nic.counter('hooksDropped'), 1);
  }
});

t.test('a checksum inside a tunnel is completed where the hook has looked at the bytes', async (t) => {
  const nic = firewall((frame) => (frame.bytes.length > 0 ? 'pass' : 'drop'));
  const vnet = virtioHeader(1, 0, 0, 50, 6);
  const frame = datagram(4789);
  nic.put(frame, vnet);
  nic.use({ frame: (frame) => ((seen = frame.copy()), 'pass') });
  let seen: Uint8Array = PLAIN;
  nic.poller.poll();
  t.ok(nic.sent[0]?.frame.equals(seen) && !nic.sent[0].frame.equals(frame) && nic.sent[0].vnet.equals(PLAIN));
  nic.use({ frame: byPort });
  nic.put(frame, vnet);
  nic.poller.poll();
  t.ok(nic.sent[1]?.frame.equals(frame) && nic.sent[1].vnet.equals(vnet), 'else it is left to the hardware');
});

t.test('IPv6 whose length is 0 reaches to the end of the frame, as in the kernel', async (t) => {
  const inner = Buffer.concat([
    Buffer.from([17, 0, 1, 4, 0, 0, 0, 0]),
    udp({ sourcePort: 1, destinationPort: FORBIDDEN }, Buffer.alloc(30)).bytes,
  ]);
  const frame = Buffer.from(ethernet(LINK, ipv6(V6, { protocol: 0, bytes: inner })));
  frame.writeUInt16BE(0, 18);
  t.equal(Frame.of(frame).udp?.destinationPort, FORBIDDEN);
  frame[20] = 17;
  t.equal(Frame.of(frame).udp, null, 'only with hop-by-hop options');
});

const HOSTILE: readonly [string, () => unknown][] = [
  ['an object without a prototype', () => Object.create(null) as unknown],
  [
    'an object whose getters throw',
    () => ({
      get constructor(): never {
        throw new Error('no');
      },
    }),
  ],
  [
    'a proxy',
    () =>
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('no');
          },
          getPrototypeOf: () => {
            throw new Error('no');
          },
        },
      ),
  ],
  ['a proxy of bytes', () => new Proxy(new Uint8Array(60), {})],
  [
    'bytes whose length throws',
    () =>
      Object.defineProperty(new Uint8Array(60), 'length', {
        get: () => {
          throw new Error('no');
        },
      }),
  ],
  ['bytes whose length lies', () => Object.defineProperty(new Uint8Array(60), 'length', { value: 20 })],
  [
    'an error whose stack throws',
    () =>
      Object.defineProperty(new Error('x'), 'stack', {
        get: () => {
          throw new Error('no');
        },
      }),
  ],
  ['an error without text', () => Object.assign(new Error('x'), { message: Symbol('no') })],
  ['a symbol', () => Symbol('x')],
  ['null', () => null],
  [
    'a function',
    () =>
      Object.assign(() => 1, {
        toString: () => {
          throw new Error('no');
        },
      }),
  ],
];

for (const onError of ['drop', 'pass'] as const) {
  t.test(`hostile throws and answers, --on-hook-error ${onError}`, async (t) => {
    for (const [what, make] of HOSTILE) {
      for (const [how, frame] of [
        [
          'throws',
          () => {
            throw make();
          },
        ],
        ['answers with', () => make() as Verdict],
      ] as [string, () => Verdict][]) {
        const nic = firewall(frame, onError);
        nic.put(datagram(53));
        t.equal(nic.poller.poll(), 1, `${how} ${what}`);
        t.equal(nic.counter('hooksErrors'), 1);
        t.equal(nic.counter('hooksDropped'), onError === 'drop' ? 1 : 0);
        t.equal(nic.sent.length, onError === 'drop' ? 0 : 1);
        t.match(nic.reports[0], onError === 'drop' ? /; the frame is dropped$/ : /; the frame passes unjudged$/);
        t.same(nic.accounting(), { in: 1, out: 1 });
      }
    }
  });
}

t.test('a stack overflow, and an error after a promise', async (t) => {
  const endless = (): Verdict => endless();
  const nic = firewall(endless);
  nic.put(datagram(53));
  nic.poller.poll();
  t.same([nic.sent.length, nic.counter('hooksDropped')], [0, 1]);
  nic.host.failedLater(Object.create(null));
  t.equal(nic.counter('hooksErrors'), 2);
});

t.test('a hook that decides over traffic and has not started drops all frames until another takes over', async (t) => {
  const start = (): never => {
    throw Object.create(null);
  };
  const nic = firewall(byPort);
  nic.use({ frame: () => 'pass', start });
  nic.put(datagram(53));
  nic.poller.poll();
  t.same([nic.sent.length, nic.counter('hooksDropped'), nic.counter('hooksErrors')], [0, 1, 1]);
  nic.use({ frame: () => 'pass' });
  nic.put(datagram(53));
  nic.poller.poll();
  t.equal(nic.sent.length, 1);
  nic.host.onError = 'pass';
  nic.use({ frame: () => 'pass', start });
  nic.put(datagram(53));
  nic.poller.poll();
  t.equal(nic.sent.length, 2, 'with pass it goes on');
});

t.test('a frame over which a thread ended is dropped unseen', async (t) => {
  const nic = firewall(byPort);
  let judging = 0;
  nic.use({ frame: (frame) => ((judging = nic.vitals[VITALS.judging] as number), byPort(frame)) });
  nic.put(datagram(1));
  nic.poller.poll();
  t.equal(judging, frameMark(0), 'whoever outlives it sees which frame that was');
  t.equal(nic.vitals[VITALS.judging], 0);
  nic.deadly = [frameMark(2), frameMark(3)];
  nic.newPoller();
  for (const port of [1, 2, 3, 4]) nic.put(datagram(port));
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => Frame.of(frame).udp?.destinationPort),
    [1, 1, 4],
  );
  t.equal(nic.counter('hooksDropped'), 2);
  t.same(nic.accounting(), { in: 5, out: 5 });
});
