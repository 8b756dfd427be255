// SPDX-License-Identifier: MIT
/** The debugger on a made-up loop: what is typed is what happens. */
import { Readable } from 'node:stream';

import t from 'tap';

import { ethernet, Frame, icmp, ipv4, udp } from '../../src/packet';
import { type PacketFilter, parseFilter } from '../../src/packet/filter';
import { parseCommand, type ShownFrame, Stepper, TypedLines } from '../../src/step/debugger';
import { onesComplement } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IP = { source: '10.77.0.1', destination: '10.77.0.2' };
const ping = (sequence: number): Uint8Array => ethernet(LINK, ipv4(IP, icmp(8, 0, sequence)));
const datagram = ethernet(LINK, ipv4(IP, udp({ sourcePort: 1, destinationPort: 53 }, Buffer.from('hello'))));

/** Types the lines one after the other; returns what was printed and what became of the frames. */
async function session(
  frames: (Uint8Array | ShownFrame)[],
  typed: string[],
  filter: PacketFilter | null = null,
): Promise<{ printed: string; happened: (string | Uint8Array)[] }> {
  const ring = frames.map((frame) =>
    'bytes' in frame ? frame : { bytes: Uint8Array.from(frame), superpacket: false },
  );
  const lines = [...typed];
  const printed: string[] = [];
  const happened: (string | Uint8Array)[] = [];
  const loop = {
    peek: async () => ring[0] ?? null,
    step: async (verdict: string | Uint8Array) => {
      ring.shift();
      happened.push(verdict);
    },
    inject: async (frame: Uint8Array) => void happened.push(`injected ${frame.length}`),
  };
  await new Stepper(
    loop,
    { next: async () => lines.shift() ?? null, ready: true },
    (...texts) => void printed.push(...texts),
    filter,
  ).run();
  return { printed: printed.join('\n'), happened };
}

t.test('pass and drop, in words, letters and numbers', async (t) => {
  const frames = Array.from({ length: 7 }, (_, i) => ping(i));
  const { printed, happened } = await session(frames, ['pass', '', 'drop', 'd', 'p 2', 'resume']);
  t.same(happened, ['pass', 'pass', 'drop', 'drop', 'pass', 'pass']);
  t.match(
    printed,
    /frame 1\n {2}ethernet {2}02:00:00:00:00:01 > 02:00:00:00:00:02, ipv4, 42 bytes\n {2}ipv4 {6}10\.77\.0\.1 > 10\.77\.0\.2/,
  );
  t.match(printed, 'echo request, id 0, sequence 6', 'the seventh is shown; nobody has decided about it');
});

t.test('edit: the frame is shown anew, and its checksums are right', async (t) => {
  const { printed, happened } = await session([datagram], ['edit 42 48454c4c4f', 'edit 0x24 00:35', 'pass']);
  const [sent] = happened as [Uint8Array];
  t.equal(Buffer.from(Frame.of(sent).udp?.payload ?? []).toString(), 'HELLO');
  t.equal(onesComplement(sent), 0xffff);
  t.match(printed, 'frame 1, edited');
});

t.test('edit: a field by its name', async (t) => {
  const typed = ['edit ttl 7', 'e destination-port 0x50', 'edit tll 7', 'edit flags SYN', 'edit ttl', 'pass'];
  const { printed, happened } = await session([datagram], typed);
  const [sent] = happened as [Uint8Array];
  t.same([Frame.of(sent).ipv4?.ttl, Frame.of(sent).udp?.destinationPort], [7, 80]);
  t.equal(onesComplement(sent), 0xffff);
  for (const why of [/"tll": is no field; did you mean ttl\?/, /flags: the frame does not have it/, /from 0 to 255/])
    t.match(printed, why);
});

t.test('inject, hex and help', async (t) => {
  const { printed, happened } = await session(
    [datagram],
    ['inject', 'i ffffffffffff0200000000018899', 'hex', 'help', 'q'],
  );
  t.same(happened, [`injected ${datagram.length}`, 'injected 14']);
  t.match(printed, /0020 .*hello\n/);
  t.match(printed, 'edit OFFSET HEX');
});

t.test('what is not understood changes nothing', async (t) => {
  const wrong = ['fly', 'pass -1', 'pass 0', 'edit', 'edit 0', 'edit x 00', 'edit 0 0', 'edit 60 00', 'inject zz'];
  const { printed, happened } = await session([datagram], wrong);
  t.same(happened, []);
  t.equal(printed.split('\n').filter((line) => /is no|is not|the frame has/.test(line)).length, wrong.length);
  t.throws(() => parseCommand('fly'), { code: 'USAGE' });
});

t.test('a superpacket is not edited', async (t) => {
  const { printed, happened } = await session([{ bytes: datagram, superpacket: true }], ['edit 0 00', 'pass']);
  t.same(happened, ['pass']);
  t.match(printed, 'a superpacket passes or is dropped');
});

t.test('with a filter, frames that it does not match pass unseen', async (t) => {
  const frames = [ping(1), datagram, ping(2), ping(3), datagram, ping(4)];
  const { printed, happened } = await session(frames, ['drop', 'drop', 'resume'], parseFilter('udp'));
  t.same(happened, ['pass', 'drop', 'pass', 'pass', 'drop', 'pass']);
  t.equal(printed.match(/^frame \d$/gm)?.join(), 'frame 1,frame 2');
  t.match(printed, /\n4 frames passed that the filter does not match$/);
  const many = Array.from({ length: 1000 }, () => ping(1));
  t.equal(
    (await session(many, ['resume'], parseFilter('udp'))).happened.length < 100,
    true,
    'and what is typed is obeyed meanwhile',
  );
});

t.test('typed lines', async (t) => {
  const typed = (chunks: readonly string[]): TypedLines =>
    new TypedLines(Readable.from(chunks.map((chunk) => Buffer.from(chunk))));
  const all = async (lines: TypedLines): Promise<string[]> => {
    const read: string[] = [];
    for (let line = await lines.next(); line !== null; line = await lines.next()) read.push(line);
    return read;
  };

  t.same(
    await all(typed(['pa', 'ss\nhex\r\n', '\nre', 'sume'])),
    ['pass', 'hex', '', 'resume'],
    'the last without an end',
  );
  const many = 'd\n'.repeat(10_000);
  t.equal((await all(typed([many, many]))).length, 20_000, 'more than wait at a time');

  let sent = 0;
  const endless = new Readable({
    read() {
      sent++;
      this.push(Buffer.alloc(1 << 16));
    },
  });
  await t.rejects(new TypedLines(endless).next(), { message: /^standard input: has a line that is too long/ });
  t.ok(sent < 100, 'a line without an end is not read for ever');
  endless.destroy();

  const failing = (code: string): Readable =>
    new Readable({
      read() {
        this.destroy(Object.assign(new Error(code), { code }));
      },
    });
  await t.rejects(new TypedLines(failing('EBADF')).next(), { message: 'standard input: cannot be read (EBADF)' });
  t.equal(await new TypedLines(failing('EIO')).next(), null, 'a terminal that is gone is the end');
});
