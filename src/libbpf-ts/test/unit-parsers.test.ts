// SPDX-License-Identifier: MIT
// None of it needs a kernel: reading BTF, verifier logs and small texts, encoding constants, the words of errors.
import t from 'tap';

import { Btf, BtfKind } from '../src/btf';
import { errnoName, errnoText, systemError, UnknownNameError } from '../src/errors';
import { countCpus, missingCapabilities, parseRelease } from '../src/kernel';
import { checkLayout } from '../src/map-info';
import { encodeScalar } from '../src/constants';
import { layoutOf } from '../src/codegen/layout';
import { summarizeLog, VerifierError } from '../src/verifier';

/** Writes raw BTF type by type; ids start at 1. */
class BtfWriter {
  readonly #words: number[] = [];
  #strings = '\0';

  string(text: string): number {
    if (text === '') return 0;
    const offset = this.#strings.length;
    this.#strings += `${text}\0`;
    return offset;
  }

  type(name: string, kind: number, vlen: number, sizeOrType: number, more: number[] = [], flag = 0): void {
    const info = ((flag << 31) | (kind << 24) | vlen) >>> 0;
    this.#words.push(this.string(name), info, sizeOrType, ...more);
  }

  bytes(magic = 0xeb9f): Uint8Array {
    const types = new Uint8Array(new Uint32Array(this.#words).buffer);
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = new DataView(new ArrayBuffer(24));
    header.setUint16(0, magic, true);
    header.setUint8(2, 1);
    header.setUint32(4, 24, true);
    header.setUint32(12, types.length, true);
    header.setUint32(16, types.length, true);
    header.setUint32(20, strings.length, true);
    return Buffer.concat([new Uint8Array(header.buffer), types, strings]);
  }
}

function example(): Uint8Array {
  const w = new BtfWriter();
  w.type('int', BtfKind.INT, 0, 4, [(1 << 24) | 32]); // 1
  w.type('unsigned char', BtfKind.INT, 0, 1, [8]); // 2
  w.type('u8', BtfKind.TYPEDEF, 0, 2); // 3
  w.type('', BtfKind.CONST, 0, 3); // 4
  w.type('', BtfKind.VOLATILE, 0, 4); // 5
  w.type('', BtfKind.ARRAY, 0, 0, [3, 1, 6]); // 6: u8[6]
  const [a, b, c, d] = [w.string('a'), w.string('b'), w.string('c'), w.string('d')];
  w.type('plain', BtfKind.STRUCT, 3, 16, [a, 1, 0, b, 6, 32, c, 9, 128]); // 7
  w.type('bits', BtfKind.STRUCT, 2, 4, [a, 1, 3 << 24, d, 1, (5 << 24) | 11], 1); // 8
  w.type('', BtfKind.PTR, 0, 7); // 9
  w.type('color', BtfKind.ENUM, 2, 4, [w.string('RED'), 1, w.string('BELOW'), 0xffffffff], 1); // 10
  w.type('huge', BtfKind.ENUM64, 1, 8, [w.string('TOP'), 0, 1]); // 11
  w.type('limit', BtfKind.VAR, 0, 5, [1]); // 12
  w.type('.rodata', BtfKind.DATASEC, 1, 4, [12, 2, 1]); // 13
  w.type('_Bool', BtfKind.INT, 0, 1, [(4 << 24) | 8]); // 14
  w.type('alias', BtfKind.TYPEDEF, 0, 7); // 15
  w.type('f', BtfKind.FUNC_PROTO, 1, 1, [a, 1]); // 16
  w.type('double', BtfKind.FLOAT, 0, 8); // 17
  return w.bytes();
}

t.test('types by name and layout', async (t) => {
  const btf = new Btf(example());
  t.equal(btf.typeCount, 18);
  t.same(btf.find('u8'), [3]);
  t.same(btf.find('nothing'), []);
  t.equal(btf.strip(5), 2, 'volatile const typedef');
  t.match(btf.resolve(12), { name: 'unsigned char', size: 1, signed: false, bool: false });
  t.match(btf.resolve(1), { signed: true, size: 4 });
  t.match(btf.resolve(14), { bool: true });
  t.match(btf.resolve(6), { size: 6, length: 6, element: 3 });
  t.equal(btf.sizeOf(9), 8, 'pointer');
  t.equal(btf.sizeOf(17), 8);
  t.equal(btf.sizeOf(0), 0);
  t.same(btf.struct('plain'), {
    name: 'plain',
    size: 16,
    members: [
      { name: 'a', offsetBytes: 0, size: 4, type: 1 },
      { name: 'b', offsetBytes: 4, size: 6, type: 6 },
      { name: 'c', offsetBytes: 16, size: 8, type: 9 },
    ],
  });
  t.equal(btf.struct('alias').members.length, 3, 'through a typedef');
});

t.test('bit fields', async (t) => {
  t.same(new Btf(example()).struct('bits').members, [
    { name: 'a', offsetBytes: 0, size: 4, type: 1, bitfield: { offsetBits: 0, width: 3 } },
    { name: 'd', offsetBytes: 1, size: 4, type: 1, bitfield: { offsetBits: 11, width: 5 } },
  ]);
});

t.test('enums and sections', async (t) => {
  const btf = new Btf(example());
  t.same(btf.enum('color'), { RED: 1, BELOW: -1 });
  t.same(btf.enum('huge'), { TOP: 2 ** 32 });
  t.same(btf.sections, ['.rodata']);
  t.same(btf.datasec('.rodata'), [{ name: 'limit', offset: 2, size: 1, type: 12 }]);
});

t.test('constants of 64 bits are exact', async (t) => {
  const w = new BtfWriter();
  const [a, b, c] = [w.string('A'), w.string('B'), w.string('C')];
  w.type('unsigned', BtfKind.ENUM64, 3, 8, [a, 0xffffffff, 0xffffffff, b, 0xfffffffe, 0xffffffff, c, 5, 0]); // 1
  w.type('signed', BtfKind.ENUM64, 3, 8, [a, 0xffffffff, 0xffffffff, b, 0, 0x80000000, c, 0, 0x200000], 1); // 2
  const btf = new Btf(w.bytes());
  t.same(btf.enum('unsigned'), { A: 2n ** 64n - 1n, B: 2n ** 64n - 2n, C: 5 });
  t.same(btf.enum('signed'), { A: -1, B: -(2n ** 63n), C: 2n ** 53n });
});

/** What a global variable points to: an unnamed union of the types that follow. */
function sharing(types: (w: BtfWriter) => void, ...members: readonly number[]): Btf {
  const w = new BtfWriter();
  w.type('unsigned int', BtfKind.INT, 0, 4, [32]); // 1
  w.type(
    '',
    BtfKind.UNION,
    members.length,
    64,
    members.flatMap((id) => [w.string(`m${id}`), id, 0]),
  ); // 2
  w.type('', BtfKind.PTR, 0, 2); // 3
  w.type('shared', BtfKind.VAR, 0, 3, [1]); // 4
  w.type('.rodata', BtfKind.DATASEC, 1, 8, [4, 0, 8]); // 5
  types(w);
  return new Btf(w.bytes());
}

t.test('a layout as constants', async (t) => {
  const btf = sharing(
    (w) => {
      const [length, pad, place, frame] = [
        w.string('frame_len'),
        w.string('pad0'),
        w.string('place'),
        w.string('frame'),
      ];
      w.type('', BtfKind.STRUCT, 2, 8, [w.string('low_half'), 1, 0, w.string('high'), 1, 32]); // 6
      w.type('', BtfKind.UNION, 2, 4, [w.string('merged'), 1, 0, w.string('injected'), 1, 0]); // 7
      w.type('', BtfKind.ARRAY, 0, 0, [1, 1, 0]); // 8
      w.type('ring_record', BtfKind.STRUCT, 5, 20, [length, 1, 0, pad, 1, 32, place, 6, 64, 0, 7, 128, frame, 8, 160]); // 9
      w.type('reason', BtfKind.ENUM, 2, 4, [w.string('REASON_FULL'), 0, w.string('REASON_TOO_LONG'), 1]); // 10
      w.type('number', BtfKind.ENUM, 2, 4, [w.string('QUEUES_MAX'), 16, w.string('TOP_BIT'), 0x80000000]); // 11
    },
    9,
    10,
    11,
  );
  const text = layoutOf(btf, 'x.bpf.o');
  const [, hash = ''] = /LAYOUT_HASH = (0x[\da-f]{8});\n$/.exec(text) ?? [];
  t.equal(
    text,
    `// Made by libbpf-ts from the BTF of x.bpf.o; do not edit.

// enum number
export const QUEUES_MAX = 16;
export const TOP_BIT = 2147483648;

/** enum reason. */
export const REASON = {
  full: 0,
  tooLong: 1,
} as const;

/** struct ring_record, 20 bytes. */
export const RING_RECORD = {
  frameLen: 0,
  place: 8,
  placeLowHalf: 8,
  placeHigh: 12,
  merged: 16,
  injected: 16,
  frame: 20,
  size: 20,
} as const;

/** Changes with anything above. */
export const LAYOUT_HASH = ${hash};
`,
  );
  t.equal(layoutOf(btf, 'y.bpf.o').slice(-60), text.slice(-60), 'the name of the object is not in the hash');
});

t.test('the hash of a layout changes with a number of it', async (t) => {
  const hashFor = (value: number): string =>
    layoutOf(
      sharing((w) => w.type('e', BtfKind.ENUM, 1, 4, [w.string('A'), value]), 6),
      'x',
    ).slice(-12);
  t.equal(hashFor(1), hashFor(1));
  t.not(hashFor(1), hashFor(2));
});

t.test('names of a layout that TypeScript would not take', async (t) => {
  const text = layoutOf(
    sharing(
      (w) => {
        w.type('speed', BtfKind.ENUM, 2, 4, [w.string('SPEED_1G'), 1, w.string('SPEED_10G'), 10]); // 6
        w.type('twice', BtfKind.STRUCT, 3, 12, [w.string('a_b'), 1, 0, w.string('aB'), 1, 32, w.string('size'), 1, 64]); // 7
        w.type('bits', BtfKind.STRUCT, 2, 4, [w.string('a'), 1, 3 << 24, w.string('b'), 1, (5 << 24) | 3], 1); // 8
      },
      6,
      7,
      8,
    ),
    'x',
  );
  t.match(text, "  '1g': 1,\n  '10g': 10,\n");
  t.match(text, '  aB: 0,\n  aB_2: 4,\n  size: 8,\n  size_2: 12,\n');
  t.match(text, 'export const BITS = {\n  size: 4,\n}', 'bit fields are left out');
  t.throws(
    () =>
      layoutOf(
        sharing(() => {}),
        'x',
      ),
    { code: 'BPF_OBJECT', message: /shares neither structs nor enums/ },
  );
});

t.test('unknown names list what exists', async (t) => {
  const btf = new Btf(example());
  t.throws(() => btf.struct('nope'), { code: 'BPF_UNKNOWN_NAME', message: /there are: bits, plain/ });
  t.throws(() => btf.enum('nope'), { message: /color, huge/ });
  t.throws(() => btf.datasec('.data'), { message: /\.rodata/ });
  t.throws(() => btf.resolve(99), { code: 'BPF_OBJECT' });
});

t.test('garbage is refused', async (t) => {
  const good = example();
  t.throws(() => new Btf(new Uint8Array(3)), { code: 'BPF_OBJECT' });
  t.throws(() => new Btf(new Uint8Array(100)), { code: 'BPF_OBJECT', message: /byte order/ });
  t.throws(() => new Btf(good.subarray(0, good.length - 1)), { message: /truncated/ });
  const unknownKind = good.slice();
  unknownKind[24 + 7] = 0x1f;
  t.throws(() => new Btf(unknownKind), { message: /kind 31 is unknown/ });
  const loop = new BtfWriter();
  loop.type('a', BtfKind.TYPEDEF, 0, 2);
  loop.type('b', BtfKind.TYPEDEF, 0, 1);
  t.throws(() => new Btf(loop.bytes()).resolve(1), { message: /without an end/ });
});

t.test('constants are checked and encoded', async (t) => {
  const int = (size: number, signed = false, bool = false) => ({
    id: 1,
    kind: BtfKind.INT,
    name: 'x',
    size,
    signed,
    bool,
    element: 0,
    length: 0,
  });
  t.same([...encodeScalar('x', int(4), 0x01020304)], [4, 3, 2, 1]);
  t.same([...encodeScalar('x', int(2, true), -2)], [0xfe, 0xff]);
  t.same([...encodeScalar('x', int(8), 2n ** 64n - 1n)], new Array(8).fill(255));
  t.same([...encodeScalar('x', int(1, false, true), true)], [1]);
  for (const [type, value] of [
    [int(1), 256],
    [int(1), -1],
    [int(1, true), 128],
    [int(1, false, true), 2],
    [int(8), 2n ** 64n],
    [int(4), 1.5],
    [int(8), 2 ** 60],
    [{ ...int(8), kind: BtfKind.ARRAY }, 1],
  ] as const) {
    t.throws(() => encodeScalar('x', type, value), { code: 'BPF_CONSTANT' });
  }
});

// Small pure parsers: capabilities, CPU lists, kernel releases, errno names.

t.test('capabilities that a status does not show', async (t) => {
  const status = (bits: string): string => `Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t${bits}\nCapBnd:\t0\n`;
  const all = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'] as const;
  t.same(missingCapabilities(status('000001ffffffffff'), all), []);
  t.same(missingCapabilities(status('0000000000000000'), all), all);
  t.same(missingCapabilities(status('0000008000001000'), all), ['CAP_PERFMON']);
  t.same(missingCapabilities(status('0000000000200000'), all), ['CAP_NET_ADMIN'], 'CAP_SYS_ADMIN stands for the rest');
  t.same(missingCapabilities('nothing of the kind', all), [], 'no blame without evidence');
});

t.test('CPU lists', async (t) => {
  t.equal(countCpus('0\n'), 1);
  t.equal(countCpus('0-3\n'), 4);
  t.equal(countCpus('0-3,8,10-11'), 7);
});

t.test('kernel releases', async (t) => {
  t.match(parseRelease('6.1.0-18-amd64'), { major: 6, minor: 1, text: '6.1.0-18-amd64' });
  t.match(parseRelease('nonsense'), { major: 0, minor: 0 });
});

t.test('errno names, those of libbpf and ENOTSUPP included', async (t) => {
  t.equal(errnoName(2), 'ENOENT');
  t.equal(errnoText(2), 'no such file or directory');
  t.equal(errnoName(524), 'ENOTSUPP');
  t.equal(errnoName(4001), 'LIBBPF_ERRNO__FORMAT');
  t.equal(errnoName(9999), 'errno 9999');
});

t.test('errors', async (t) => {
  t.match(systemError('bpf(BPF_MAP_CREATE)', -22), {
    code: 'BPF_SYSCALL',
    errno: 22,
    errnoName: 'EINVAL',
    operation: 'bpf(BPF_MAP_CREATE)',
    message: 'bpf(BPF_MAP_CREATE): EINVAL (invalid argument)',
  });
  const unknown = new UnknownNameError('map', 'x', ['b', 'a']);
  t.equal(unknown.code, 'BPF_UNKNOWN_NAME');
  t.equal(unknown.message, 'no map is named "x"; there are: a, b');
  t.match(new UnknownNameError('map', 'x', []).message, /there is no map/);
});

t.test('every difference of a map is named', async (t) => {
  const info = { type: 1, id: 5, keySize: 4, valueSize: 8, maxEntries: 10, flags: 0, name: 'm' };
  checkLayout('m', info, { type: 1, keySize: 4 });
  t.throws(() => checkLayout('m', info, { type: 27, keySize: 4, maxEntries: 11 }), {
    code: 'BPF_MAP_INCOMPATIBLE',
    message: 'map m is not compatible: type is HASH, not RINGBUF, maxEntries is 10, not 11',
    differences: ['type is HASH, not RINGBUF', 'maxEntries is 10, not 11'],
  });
});

t.test('the last line that is no statistic says why', async (t) => {
  const log = "0: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\nprocessed 7 insns (limit 1000000) x\n\n";
  t.equal(summarizeLog(log), "R0 invalid mem access 'scalar' (2 lines omitted)");
});

t.test('a report behind the complaint (Linux 7.3) is not the complaint', async (t) => {
  const report =
    'Verification failed: Register Type Safety\n\nReason:\n  R0 may be NULL here.\n\nSuggestion:\n  Add a check.\n';
  t.equal(
    summarizeLog(`R0 invalid mem access\n\n${report}\nprocessed 7 insns`),
    'R0 invalid mem access (6 lines omitted)',
  );
  t.equal(summarizeLog(`${report}processed 7 insns`), 'Add a check. (5 lines omitted)', 'unless there is nothing else');
});

t.test('short and empty logs', async (t) => {
  t.equal(summarizeLog('only this\n'), 'only this');
  t.equal(summarizeLog('one\ntwo'), 'two (1 line omitted)');
  t.equal(summarizeLog('\n'), 'refused without a log');
  t.equal(summarizeLog('processed 1 insns (limit 1)'), 'processed 1 insns (limit 1)');
});

t.test('the error carries the log and the program', async (t) => {
  const error = new VerifierError('tx', 'a\nb\nprocessed 2 insns', 13);
  t.match(error, { code: 'BPF_VERIFIER', program: 'tx', errno: 13, errnoName: 'EACCES', name: 'VerifierError' });
  t.equal(error.message, 'load program tx: b (2 lines omitted)');
  t.equal(error.log, 'a\nb\nprocessed 2 insns');
});
