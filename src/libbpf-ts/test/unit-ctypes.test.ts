// SPDX-License-Identifier: MIT
// Values and their bytes, for types as clang describes them. Needs clang and libbpf, not root.
import { existsSync, readFileSync } from 'node:fs';

import t from 'tap';

import { BpfObject, Btf, BtfTypes, cString, ctypes as c, type CType, declarationsOf, skeletonOf } from '../src/index';
import { compile } from './helpers/machine';

const image = compile('types');
const object = BpfObject.open(image);
t.teardown(() => object.close());
const types = new BtfTypes(object.btf);
/** Before clang 15 BTF does not say that an enum is signed, and -2 is 2^32 - 2. */
const BLUE = Number(object.btf.enum('color')['BLUE']);

/** An integer of some bits in little-endian bytes, counted from the lowest bit of the first. */
function bitsAt(bytes: Uint8Array, first: number, width: number): bigint {
  let all = 0n;
  for (const byte of [...bytes].reverse()) all = (all << 8n) | BigInt(byte);
  return BigInt.asUintN(width, all >> BigInt(first));
}

const decoded = (type: CType<unknown>, value: unknown): unknown => type.decode(type.encode(value));

t.test('integers keep their limits, and nothing beyond', async (t) => {
  const type = types.type('scalars');
  const limits = [
    ['i8', -128, 127, 0],
    ['u8', 0, 255, 1],
    ['i16', -32768, 32767, 2],
    ['u16', 0, 65535, 4],
    ['i32', -(2 ** 31), 2 ** 31 - 1, 8],
    ['u32', 0, 2 ** 32 - 1, 12],
    ['i64', -(2n ** 63n), 2n ** 63n - 1n, 16],
    ['u64', 0n, 2n ** 64n - 1n, 24],
  ] as const;
  for (const [field, least, most, offset] of limits) {
    const width = Number(/\d+/.exec(field)) as 8 | 16 | 32 | 64;
    for (const value of [least, most]) {
      const bytes = type.encode({ [field]: value });
      t.equal(bitsAt(bytes, offset * 8, width), BigInt.asUintN(width, BigInt(value)), `${field} ${value}`);
      t.match(type.decode(bytes), { [field]: value });
    }
    const beyond =
      typeof least === 'bigint'
        ? [least - 1n, BigInt(most) + 1n, 2 ** 60]
        : [least - 1, Number(most) + 1, 0.5, NaN, 1n];
    for (const value of beyond)
      t.throws(() => type.encode({ [field]: value }), { code: 'BPF_VALUE', message: `struct scalars.${field}: ` });
  }
  t.match(decoded(type, { i64: -5, u64: 7, address: 2n ** 63n, flag: true }), {
    i64: -5n,
    u64: 7n,
    address: 2n ** 63n,
    linked: 0n,
    call: 0n,
    flag: true,
  });
  t.throws(() => type.encode({ flag: 1 }), { message: 'struct scalars.flag: number 1 is no boolean' });
  t.match(decoded(type, { color: BLUE, letter: 65 }), { color: BLUE, letter: 65 });
});

t.test('floating-point numbers and integers of 128 bits', async (t) => {
  const type = types.type('floats');
  const value = { f: 0.5, d: Math.PI, wide: -(2n ** 127n), uwide: 2n ** 128n - 1n };
  t.same(decoded(type, value), value);
  const bytes = type.encode({ f: 1, d: -2, wide: -2n });
  const view = new DataView(bytes.buffer);
  t.equal(view.getFloat32(0, true), 1);
  t.equal(view.getFloat64(8, true), -2);
  t.equal(bitsAt(bytes, 128, 128), 2n ** 128n - 2n);
  t.throws(() => type.encode({ wide: 2n ** 127n }), { code: 'BPF_VALUE' });
});

t.test('bit fields lie where the compiler puts them', async (t) => {
  const type = types.type('bitfields');
  const fields = [
    ['a', 0, 3, 5],
    ['b', 3, 7, 100],
    ['c', 10, 5, -3],
    ['d', 19, 13, -4096],
    ['e', 64, 40, 0xab_cdef_0123n],
    ['f', 104, 23, -5n],
    ['g', 128, 64, 2n ** 64n - 1n],
    ['h', 192, 1, true],
    ['i', 193, 2, 3],
    ['j', 195, 4, 7],
    ['k', 208, 16, 65535],
  ] as const;
  for (const [field, first, width, value] of fields) {
    const bytes = type.encode({ [field]: value });
    t.equal(bitsAt(bytes, first, width), BigInt.asUintN(width, BigInt(value)), field);
    t.equal(
      bitsAt(bytes, 0, bytes.length * 8),
      bitsAt(bytes, first, width) << BigInt(first),
      `${field} touches no other bit`,
    );
  }
  const value = Object.fromEntries(fields.map(([field, , , value]) => [field, value]));
  t.same(decoded(type, value), value);
  for (const wrong of [{ a: 8 }, { c: -17 }, { c: 16 }, { e: 2n ** 40n }, { h: 1 }, { j: 16 }])
    t.throws(() => type.encode(wrong), { code: 'BPF_VALUE' });
});

t.test('packed structs', async (t) => {
  const type = types.type('packed');
  t.equal(type.size, 19);
  const value = { a: 1, b: 0x0102_0304_0506_0708n, c: 300, d: 0xfffff, e: -1, f: 0xbeef };
  const bytes = type.encode(value);
  t.same(type.decode(bytes), value);
  t.equal(bitsAt(bytes, 8, 64), value.b);
  t.equal(bitsAt(bytes, 72, 9), 300n);
  t.equal(bitsAt(bytes, 81, 20), 0xfffffn);
});

t.test('arrays of everything; fewer elements are followed by zeroes', async (t) => {
  const type = types.type('arrays');
  const value = {
    text: new TextEncoder().encode('abcdefghijklmnop'),
    mac: new Uint8Array([1, 2, 3, 4, 5, 255]),
    signs: new Uint8Array([255, 0, 1]),
    ports: [1, 2, 65535],
    words: [1n, 2n ** 64n - 1n],
    grid: [
      [1, 2, 3],
      [4, 5, 6],
    ],
    flags: [false, true],
    colors: [7, BLUE],
    inners: [
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ],
    points: [
      { x: -1, y: 1 },
      { x: 2, y: -2 },
    ],
    none: [],
    last: 9,
  };
  t.same(decoded(type, value), value);
  const short = type.decode(type.encode({ text: 'hi', mac: [1, -1], ports: new Uint16Array([5]), grid: [[1], [2]] }));
  t.match(short, {
    mac: new Uint8Array([1, 255, 0, 0, 0, 0]),
    ports: [5, 0, 0],
    grid: [
      [1, 0, 0],
      [2, 0, 0],
    ],
  });
  t.equal(cString((short as { text: Uint8Array }).text), 'hi');
  t.throws(() => type.encode({ ports: [1, 2, 3, 4] }), {
    message: 'struct arrays.ports: 4 elements are too many for 3',
  });
  t.throws(() => type.encode({ text: 'seventeen letters' }), { message: /17 bytes are too many for 16/ });
  t.throws(() => type.encode({ inners: [{ a: 0 }, { b: -1 }] }), {
    message: /^struct arrays\.inners\[1\]\.b: -1 is out/,
  });
  t.throws(() => type.encode({ mac: [1, 256] }), { message: /^struct arrays\.mac\[1\]: number 256 is no byte/ });
  t.throws(() => type.encode({ ports: 1 }), { message: /is no array/ });
});

t.test('fields of unnamed members are fields of the struct', async (t) => {
  const type = types.type('nested');
  const value = type.decode(
    type.encode({ high: 2, low: 1, unnamed: { right: 3 }, point: { y: -4 }, kind: 1, one: 255 }),
  );
  t.match(value, {
    whole: 2n ** 33n + 1n,
    low: 1,
    high: 2,
    truth: true,
    unnamed: { left: 0, right: 3 },
    deep: 0,
    one: 255,
    other: -1,
    point: { x: 0, y: -4 },
    kind: 1,
  });
  t.same(decoded(type, value), value, 'what was read can be written');
});

t.test('a union takes one of its fields, or several that agree', async (t) => {
  const type = types.type('number');
  t.match(decoded(type, { word: 0x0102_0304 }), { halves: [0x0304, 0x0102], bytes: new Uint8Array([4, 3, 2, 1]) });
  t.match(decoded(type, { bytes: [0, 0, 0x80, 0x3f] }), { real: 1, word: 0x3f80_0000 });
  const value = type.decode(new Uint8Array([1, 2, 0xa0, 0x7f])) as { word: number; real: number };
  t.ok(Number.isNaN(value.real));
  t.same([...type.encode(value)], [1, 2, 0xa0, 0x7f], 'even if one of them is not a number');
  t.throws(() => type.encode({ ...value, word: 1 }), {
    code: 'BPF_VALUE',
    message: /^union number\.\w+: another field of the same union says otherwise; give one of them/,
  });
});

t.test('a flexible array goes on to the end', async (t) => {
  const type = types.type('flexible');
  t.equal(type.size, 8);
  const bytes = type.encode({ count: 3, tag: 1, items: [7, 8, 9] });
  t.equal(bytes.length, 12);
  t.same(type.decode(bytes), { count: 3, tag: 1, items: [7, 8, 9] });
  t.same(type.decode(type.encode({ count: 1 })), { count: 1, tag: 0, items: [0] }, 'padding at the end belongs to it');
  t.throws(() => type.encode({ items: [1, 2] }, 8), { message: /needs 10 bytes, there are 8/ });
});

t.test('flexible arrays that something follows are empty', async (t) => {
  const type = types.type('padded');
  const value = {
    first: 1,
    pad: { x: new Uint8Array() },
    second: 2,
    inner: [{ count: 3 }],
    last: { tag: 4, items: [5, 6] },
  };
  const bytes = type.encode(value);
  t.equal(bytes.length, type.size + 2);
  const none = { tag: 0, items: [] };
  t.same(type.decode(bytes), {
    ...value,
    inner: [
      { ...none, count: 3, items: [0] },
      { ...none, count: 0, items: [0] },
    ],
    last: { count: 0, tag: 4, items: [5, 6] },
  });
  const why = { code: 'BPF_VALUE', message: /flexible array has to be empty/ };
  t.throws(() => type.encode({ pad: { x: [1] } }), why);
  t.throws(() => type.encode({ inner: [{ items: [1, 2] }] }), why);
});

t.test('names that are no fields, and bytes that are too few', async (t) => {
  const type = types.type('inner');
  t.throws(() => type.encode({ a: 1, c: 2 }), { code: 'BPF_VALUE', message: /no field is named "c"; there are: a, b/ });
  for (const wrong of [null, 5, [], 'x', undefined]) t.throws(() => type.encode(wrong), { code: 'BPF_VALUE' });
  t.throws(() => type.decode(new Uint8Array(7)), { message: 'struct inner: 7 bytes are too few: it has 8' });
  t.throws(() => types.type('nothing'), { code: 'BPF_UNKNOWN_NAME' });
  const odd = types.type('class');
  const fields = Object.entries(decoded(odd, { toString: 1, __proto___2: 2 }) as object);
  t.same(
    fields.filter(([, value]) => value !== 0),
    [
      ['toString', 1],
      ['__proto___2', 2],
      ['empty', {}],
    ],
  );
});

t.test('values of one type have their properties in one order', async (t) => {
  const type = c.struct<{ a: number; b: bigint }>('struct pair', 16, [
    ['a', 0, c.u32],
    ['b', 8, c.u64],
  ]);
  const value = type.decode(type.encode({ b: 1, a: 2 }));
  t.same(Object.entries(value), [
    ['a', 2],
    ['b', 1n],
  ]);
});

t.test('structs that are read often are read by compiled code, with the same result', async (t) => {
  for (const name of ['nested', 'arrays', 'bitfields', 'class', 'flexible', 'empty']) {
    const type = new BtfTypes(object.btf).type(name);
    const bytes = Uint8Array.from({ length: type.size + 4 }, (_, i) => (i * 37) & 0xff);
    const first = type.decode(bytes);
    for (let i = 0; i < 200; i++) type.decode(bytes);
    t.same(Object.entries(type.decode(bytes) as object), Object.entries(first as object), name);
  }
});

t.test('what does not fit is not written in part', async (t) => {
  const type = types.type('inner');
  const memory = new DataView(new ArrayBuffer(8));
  t.throws(() => type.assign(memory, 0, { a: 1, b: -1 }, 'place'), { message: /^place\.b: -1 is out of range/ });
  t.equal(memory.getUint8(0), 0);
  type.assign(memory, 0, { a: 1, b: 2 }, 'place');
  type.assign(memory, 0, { b: 3 }, 'place');
  t.same(type.decode(new Uint8Array(memory.buffer)), { a: 0, b: 3 }, 'fields that are left out are zero');
});

t.test('constants of enums are exact', async (t) => {
  t.same(object.btf.enum('color'), { RED: 0, GREEN: 7, BLUE });
  t.equal(BLUE | 0, -2);
  const vmlinux = '/sys/kernel/btf/vmlinux';
  if (!existsSync(vmlinux)) {
    t.comment('this kernel has no BTF');
    return;
  }
  const values = new Btf(readFileSync(vmlinux)).enum('perf_callchain_context');
  t.equal(values['PERF_CONTEXT_HV'], 2n ** 64n - 32n);
  t.equal(values['PERF_CONTEXT_MAX'], 2n ** 64n - 4095n);
  t.equal(new Set(Object.values(values)).size, Object.keys(values).length);
});

t.test('generated text: names, records, what is left out', async (t) => {
  const text = skeletonOf(object, 'types.bpf.o');
  t.match(text, 'export class Types extends Skeleton<');
  t.match(text, "    ring: this.ringBuffer('ring', flexible),\n", 'the record that the map names');
  t.match(text, "    tagged: this.ringBuffer('tagged', inner),\n", 'the record that its tag names');
  t.match(text, "    unnamed_record: this.ringBuffer('unnamed_record', c.rawBytes),\n");
  t.match(
    text,
    "    percpu: this.perCpuMap('percpu', c.u32, point_t),\n",
    'an unnamed struct has the name of its typedef',
  );
  t.match(text, "    untyped: this.map('untyped', c.rawBytes, c.rawBytes),\n");
  t.match(text, 'export interface class_2 {');
  t.match(text, `export const color = {\n  RED: 0,\n  GREEN: 7,\n  BLUE: ${BLUE},\n} as const;`);
  t.notMatch(text, '____fmt', 'what the compiler adds');
  t.match(text, 'readonly data_apart = this.globals(');
  t.match(skeletonOf(object, '7-up.bpf.o'), 'export class _7Up extends Skeleton<');
  t.match(skeletonOf(object, 'x.o', { className: 'delete' }), 'export class delete_2 extends');
  const embedded = skeletonOf(object, 'types.bpf.o', { embed: readFileSync(image) });
  t.match(embedded, 'static open(options?: OpenObjectOptions): Types');
  const declarations = declarationsOf(object.btf, 'types.bpf.o');
  t.match(declarations, 'readonly delete: { readonly key: inner; readonly value: class_2; };');
  t.notMatch(declarations, 'import ');
});
