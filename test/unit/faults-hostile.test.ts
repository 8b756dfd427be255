// SPDX-License-Identifier: MIT
/** Frames by which a sender would like to make the engine of faults slow, or take memory without end. */
import t from 'tap';

import { Connections } from '../../src/faults/connections';
import { Overtaking } from '../../src/faults/overtaking';
import { fixChecksums, Frame } from '../../src/packet';
import { datagram, rule, segment, SYN, TestEngine } from '../helpers/fault-frames';

const COUNT = 4096;

/** How many hashes the connections of these frames have. */
function hashes(frames: Iterable<Uint8Array>): number {
  const connections = new Connections(() => 0);
  const seen = new Set<number>();
  for (const frame of frames) seen.add(connections.of(Frame.dataOf(Frame.of(frame)), 0).hash);
  return seen.size;
}

function* frames(make: (i: number) => Uint8Array): Iterable<Uint8Array> {
  for (let i = 0; i < COUNT; i++) yield make(i);
}

const v4 = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
const v6 = (words: readonly number[]): string =>
  words.flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]).join(':');

t.test('a sender cannot choose connections that share a hash', async (t) => {
  const least = COUNT - 200;
  for (const [name, make] of Object.entries({
    'ports that change in opposite directions': (i: number) =>
      datagram({ clientPort: 10_000 + i, serverPort: 20_000 - i }),
    'an address that makes up for the port': (i: number) =>
      datagram({ clientPort: i, client: v4(0x0a000000 ^ (i << 7)) }),
    'ends that change places': (i: number) =>
      datagram({ client: v4(0x0a000000 + i), server: v4(0x0a010000 - i), clientPort: 7, serverPort: 7 }),
    'words of IPv6 that make up for each other': (i: number) =>
      datagram({ client: v6([0xfd000000, i, i, 1]), server: 'fd00::2' }),
    'upper bits of the words of IPv6': (i: number) =>
      datagram({
        client: v6([0xfd000000 ^ (i << 30), i << 28, i << 26, i << 24].map((word) => word >>> 0)),
        server: v6([0xfc000000, i << 22, i << 20, 1].map((word) => word >>> 0)),
      }),
  })) {
    const found = hashes(frames(make));
    t.ok(found >= least, `${name}: ${found} hashes of ${COUNT} connections`);
  }
});

t.test('frames that wait to be overtaken, and are not, are forgotten when they have left', async (t) => {
  const overtaking = new Overtaking();
  const released: number[] = [];
  let most = 0;
  for (let i = 1; i <= 300_000; i++) {
    overtaking.add(i, 1_000_000, i + 100, i); // a frame a millisecond, and each waits for 100 ms
    most = Math.max(most, overtaking.length);
  }
  t.ok(most <= 256, `at most ${most} are kept while 100 wait`);
  for (let i = 0; i < 1_000_000; i++) overtaking.pass(released);
  t.ok(released.length >= 100 && released.at(-1) === 300_000, 'those that still wait are released');
  t.equal(overtaking.length, 0);
});

t.test('those that wait for different numbers are each released in time', async (t) => {
  const overtaking = new Overtaking();
  for (const [ticket, by] of [
    [1, 3],
    [2, 1],
    [3, 2],
    [4, 3],
  ] as const)
    overtaking.add(ticket, by, 1000, 0);
  const passes = [1, 2, 3].map(() => {
    const released: number[] = [];
    overtaking.pass(released);
    return released;
  });
  t.same(passes, [[2], [3], [1, 4]]);
});

t.test('a TCP header that claims to be shorter than it is loses a bit all the same', async (t) => {
  for (const words of [0, 1, 4]) {
    const frame = segment({ sequence: 1, flags: SYN });
    frame[46] = words << 4;
    fixChecksums(frame);
    for (const part of ['ip', 'transport', 'payload'] as const) {
      const engine = new TestEngine([rule({}, { kind: 'corrupt', part, bit: 9, valid: false })]);
      const bytes = engine.engine.judge(Frame.of(frame), 0)?.bytes;
      const changed = frame.filter((byte, i) => byte !== bytes?.[i]).length;
      t.ok(changed > 0, `data offset ${words}, ${part}: ${engine.log[0]?.effect}`);
      t.notMatch(engine.log[0]?.effect, /NaN/);
    }
  }
});
