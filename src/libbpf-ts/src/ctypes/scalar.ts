// SPDX-License-Identifier: MIT
/** Integers, bool, floating-point numbers, pointers and bit fields. */
import { littleEndian } from '../native/ffi';
import { CType, Misfit } from './ctype';

/** What a value is, for messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return value instanceof Uint8Array ? 'bytes' : 'an object';
  return typeof value === 'string' ? JSON.stringify(value) : `${typeof value} ${String(value as number)}`;
}

const outOfRange = (value: number | bigint, least: number | bigint, most: number | bigint): Misfit =>
  new Misfit(`${value} is out of range: ${least} to ${most}`);

/** An integer of up to 32 bits. */
export class SmallInteger extends CType<number> {
  readonly signed: boolean;

  constructor(
    name: string,
    readonly bits: number,
    readonly least: number,
    readonly most: number,
    readonly get: (memory: DataView, at: number) => number,
    readonly set: (memory: DataView, at: number, value: number) => void,
  ) {
    super(name, Math.ceil(bits / 8));
    this.signed = least < 0;
  }

  read(memory: DataView, at: number): number {
    return this.get(memory, at);
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value !== 'number' || !Number.isInteger(value)) throw new Misfit(`${describe(value)} is no integer`);
    if (value < this.least || value > this.most) throw outOfRange(value, this.least, this.most);
    this.set(memory, at, value);
  }
}

/** An integer of more than 32 bits. */
export class LargeInteger extends CType<bigint> {
  readonly #least: bigint;
  readonly #most: bigint;

  constructor(
    name: string,
    readonly bits: number,
    readonly signed: boolean,
    readonly get: (memory: DataView, at: number) => bigint,
    readonly set: (memory: DataView, at: number, value: bigint) => void,
  ) {
    super(name, Math.ceil(bits / 8));
    const half = 1n << BigInt(bits - 1);
    this.#least = signed ? -half : 0n;
    this.#most = signed ? half - 1n : 2n * half - 1n;
  }

  read(memory: DataView, at: number): bigint {
    return this.get(memory, at);
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value === 'number' && Number.isSafeInteger(value)) value = BigInt(value);
    if (typeof value !== 'bigint') throw new Misfit(`${describe(value)} is neither a bigint nor an exact integer`);
    if (value < this.#least || value > this.#most) throw outOfRange(value, this.#least, this.#most);
    this.set(memory, at, value);
  }
}

export class Bool extends CType<boolean> {
  override readonly exact = false;

  constructor() {
    super('_Bool', 1);
  }

  read(memory: DataView, at: number): boolean {
    return memory.getUint8(at) !== 0;
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value !== 'boolean') throw new Misfit(`${describe(value)} is no boolean`);
    memory.setUint8(at, Number(value));
  }
}

class Float extends CType<number> {
  override readonly exact = false;

  read(memory: DataView, at: number): number {
    return this.size === 4 ? memory.getFloat32(at, littleEndian) : memory.getFloat64(at, littleEndian);
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value !== 'number') throw new Misfit(`${describe(value)} is no number`);
    if (this.size === 4) memory.setFloat32(at, value, littleEndian);
    else memory.setFloat64(at, value, littleEndian);
  }
}

const LE = littleEndian;
export const u8 = new SmallInteger(
  '__u8',
  8,
  0,
  0xff,
  (m, at) => m.getUint8(at),
  (m, at, v) => m.setUint8(at, v),
);
export const s8 = new SmallInteger(
  '__s8',
  8,
  -0x80,
  0x7f,
  (m, at) => m.getInt8(at),
  (m, at, v) => m.setInt8(at, v),
);
export const u16 = new SmallInteger(
  '__u16',
  16,
  0,
  0xffff,
  (m, at) => m.getUint16(at, LE),
  (m, at, v) => m.setUint16(at, v, LE),
);
export const s16 = new SmallInteger(
  '__s16',
  16,
  -0x8000,
  0x7fff,
  (m, at) => m.getInt16(at, LE),
  (m, at, v) => m.setInt16(at, v, LE),
);
export const u32 = new SmallInteger(
  '__u32',
  32,
  0,
  0xffffffff,
  (m, at) => m.getUint32(at, LE),
  (m, at, v) => m.setUint32(at, v, LE),
);
export const s32 = new SmallInteger(
  '__s32',
  32,
  -0x80000000,
  0x7fffffff,
  (m, at) => m.getInt32(at, LE),
  (m, at, v) => m.setInt32(at, v, LE),
);
const getU64 = (m: DataView, at: number): bigint => m.getBigUint64(at, LE);
const setU64 = (m: DataView, at: number, v: bigint): void => m.setBigUint64(at, v, LE);
export const u64 = new LargeInteger('__u64', 64, false, getU64, setU64);
export const s64 = new LargeInteger(
  '__s64',
  64,
  true,
  (m, at) => m.getBigInt64(at, LE),
  (m, at, v) => m.setBigInt64(at, v, LE),
);
/** An address in the kernel or in user space. */
export const pointer = new LargeInteger('pointer', 64, false, getU64, setU64);

/** Offset of the upper half of a 128-bit integer; of the lower half it is 8 less, or 8 more on big-endian machines. */
const HIGH = LE ? 8 : 0;

function wide(name: string, signed: boolean): LargeInteger {
  return new LargeInteger(
    name,
    128,
    signed,
    (m, at) => {
      const high = signed ? m.getBigInt64(at + HIGH, LE) : m.getBigUint64(at + HIGH, LE);
      return (high << 64n) | m.getBigUint64(at + 8 - HIGH, LE);
    },
    (m, at, v) => {
      m.setBigUint64(at + 8 - HIGH, BigInt.asUintN(64, v), LE);
      m.setBigUint64(at + HIGH, BigInt.asUintN(64, v >> 64n), LE);
    },
  );
}

export const u128 = wide('unsigned __int128', false);
export const s128 = wide('__int128', true);
export const bool = new Bool();
export const f32: CType<number> = new Float('float', 4);
export const f64: CType<number> = new Float('double', 8);

/** Reads up to 64 bits; little-endian only, as BPF objects on every CPU for which this package is made. */
function readBits(memory: DataView, at: number, bit: number, width: number): bigint {
  let value = 0n;
  for (let i = (bit + width - 1) >> 3; i >= 0; i--) value = (value << 8n) | BigInt(memory.getUint8(at + i));
  return BigInt.asUintN(width, value >> BigInt(bit));
}

/** As readBits() with numbers: exact because at most 39 bits are collected. */
function readFewBits(memory: DataView, at: number, bit: number, width: number): number {
  let value = 0;
  for (let i = (bit + width - 1) >> 3; i >= 0; i--) value = value * 256 + memory.getUint8(at + i);
  return Math.floor(value / 2 ** bit) % 2 ** width;
}

/** Replaces bits; the others of the bytes stay. */
function writeBits(memory: DataView, at: number, bit: number, width: number, value: bigint): void {
  const mask = ((1n << BigInt(width)) - 1n) << BigInt(bit);
  const placed = BigInt.asUintN(width, value) << BigInt(bit);
  for (let i = (bit + width - 1) >> 3; i >= 0; i--) {
    const [own, set] = [Number((mask >> BigInt(8 * i)) & 0xffn), Number((placed >> BigInt(8 * i)) & 0xffn)];
    memory.setUint8(at + i, (memory.getUint8(at + i) & ~own) | set);
  }
}

/** As writeBits() with numbers. */
function writeFewBits(memory: DataView, at: number, bit: number, width: number, value: number): void {
  let mask = (2 ** width - 1) * 2 ** bit;
  let placed = (value < 0 ? value + 2 ** width : value) * 2 ** bit;
  for (let i = at; mask > 0; i++) {
    const own = mask % 256;
    memory.setUint8(i, (memory.getUint8(i) & ~own) | (placed % 256));
    mask = Math.floor(mask / 256);
    placed = Math.floor(placed / 256);
  }
}

/**
 * A bit field.
 *
 * @param base type in which it was declared
 * @param bit its first bit, counted from the lowest bit of the byte at its offset: 0 to 7
 * @param width bits
 */
export function bits<T>(base: CType<T>, bit: number, width: number): CType<T> {
  return new BitField(base, bit, width);
}

export class BitField<T> extends CType<T> {
  override readonly exact: boolean;
  readonly #integer: CType<unknown>;

  constructor(
    base: CType<T>,
    readonly bit: number,
    readonly width: number,
  ) {
    const name = `${base.name}:${width}`;
    super(name, Math.ceil((bit + width) / 8));
    this.exact = width === 1 || !(base instanceof Bool);
    if (base instanceof SmallInteger) this.#integer = smallBits(name, base.signed, bit, width);
    else if (base instanceof LargeInteger) this.#integer = largeBits(name, base.signed, bit, width);
    else this.#integer = new BoolBits(name, bit, width);
  }

  read(memory: DataView, at: number): T {
    return this.#integer.read(memory, at, at) as T;
  }

  write(memory: DataView, at: number, value: unknown): void {
    this.#integer.write(memory, at, value);
  }
}

function smallBits(name: string, signed: boolean, bit: number, width: number): SmallInteger {
  const half = 2 ** (width - 1);
  return new SmallInteger(
    name,
    width,
    signed ? -half : 0,
    signed ? half - 1 : 2 * half - 1,
    (memory, at) => {
      const value = readFewBits(memory, at, bit, width);
      return signed && value >= half ? value - 2 * half : value;
    },
    (memory, at, value) => writeFewBits(memory, at, bit, width, value),
  );
}

function largeBits(name: string, signed: boolean, bit: number, width: number): LargeInteger {
  return new LargeInteger(
    name,
    width,
    signed,
    (memory, at) => {
      const value = readBits(memory, at, bit, width);
      return signed ? BigInt.asIntN(width, value) : value;
    },
    (memory, at, value) => writeBits(memory, at, bit, width, value),
  );
}

class BoolBits extends CType<boolean> {
  constructor(
    name: string,
    readonly bit: number,
    readonly width: number,
  ) {
    super(name, 1);
  }

  read(memory: DataView, at: number): boolean {
    return readFewBits(memory, at, this.bit, this.width) !== 0;
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value !== 'boolean') throw new Misfit(`${describe(value)} is no boolean`);
    writeFewBits(memory, at, this.bit, this.width, Number(value));
  }
}
