// SPDX-License-Identifier: MIT
/** Layout of C types as plain data. The types of TypeScript and what reads and writes values are both made from it. */
import { type Btf, BtfKind, type BtfMember, type BtfType } from '../btf';
import { UnreadableObjectError } from '../errors';
import { Names } from './names';
import type * as scalars from './scalar';

/** The types of scalar.ts, by their names. */
export type ScalarName = {
  [Name in keyof typeof scalars]: (typeof scalars)[Name] extends { readonly size: number } ? Name : never;
}[keyof typeof scalars];

export interface FieldShape {
  /** Unique in its struct. */
  readonly name: string;
  /** Bytes; for a bit field, of the byte that holds its first bit. */
  readonly offset: number;
  readonly shape: Shape;
  /** For bit fields: the first bit, from the lowest of its byte, and the width, in bits. */
  readonly bits?: { readonly first: number; readonly width: number };
}

export interface CompoundShape {
  readonly kind: 'struct' | 'union' | 'section';
  /** Type id in BTF. */
  readonly id: number;
  /** Empty for an unnamed type without typedef. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly fields: readonly FieldShape[];
}

export interface EnumShape {
  readonly kind: 'enum';
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly scalar: ScalarName;
  readonly values: Readonly<Record<string, number | bigint>>;
}

export type Shape =
  | { readonly kind: 'scalar'; readonly scalar: ScalarName; readonly size: number }
  | EnumShape
  /** Bytes or characters, or what has no type in JavaScript. */
  | { readonly kind: 'bytes'; readonly size: number }
  /** A flexible array; without an element, of bytes. */
  | { readonly kind: 'flexible'; readonly element?: Shape; readonly size: 0 }
  | { readonly kind: 'array'; readonly element: Shape; readonly length: number; readonly size: number }
  | CompoundShape;

const MAX_DEPTH = 64;

const INTEGERS: Readonly<Record<number, readonly [unsigned: ScalarName, signed: ScalarName]>> = {
  1: ['u8', 's8'],
  2: ['u16', 's16'],
  4: ['u32', 's32'],
  8: ['u64', 's64'],
  16: ['u128', 's128'],
};

/** The scalar that a type is; undefined for other types, and for sizes that JavaScript has no number for. */
export function scalarOf({ kind, size, signed, bool }: BtfType): ScalarName | undefined {
  switch (kind) {
    case BtfKind.INT:
      if (bool && size === 1) return 'bool';
      return INTEGERS[size]?.[signed ? 1 : 0];
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      return INTEGERS[size]?.[signed ? 1 : 0];
    case BtfKind.FLOAT:
      return size === 4 ? 'f32' : size === 8 ? 'f64' : undefined;
    case BtfKind.PTR:
      return 'pointer';
    default:
      return undefined;
  }
}

/** Whether an array of such elements is bytes. */
const isByte = (shape: Shape): boolean =>
  shape.kind === 'scalar' && shape.size === 1 && (shape.scalar === 'u8' || shape.scalar === 's8');

/** The shapes of the types of an object, each made once. */
export class Shapes {
  readonly #known = new Map<number, Shape>();

  constructor(readonly btf: Btf) {}

  /** Shape of a type. @throws UnreadableObjectError (`BPF_OBJECT`) if a type contains itself */
  of(id: number): Shape {
    return this.#of(id, 0);
  }

  /** The variables of a data section, as a struct; those that are private to a function are left out. */
  section(name: string): CompoundShape {
    const names = fieldNames();
    const all = this.btf.datasec(name);
    const fields = all
      // A name with a dot, such as main.____fmt, is made by the compiler.
      .filter((variable) => !/\W/.test(variable.name) && variable.name !== '')
      .map((variable) => ({ name: names.take(variable.name), offset: variable.offset, shape: this.of(variable.type) }));
    const size = all.reduce((end, variable) => Math.max(end, variable.offset + variable.size), 0);
    return { kind: 'section', id: 0, name, size, fields };
  }

  #of(id: number, depth: number): Shape {
    const bare = this.btf.strip(id);
    const known = this.#known.get(bare);
    if (known) return known;
    if (depth > MAX_DEPTH) throw new UnreadableObjectError('BTF', `type ${id} contains itself or is nested too deep`);
    const shape = this.#make(bare, this.#nameOf(id, bare), depth);
    this.#known.set(bare, shape);
    return shape;
  }

  /** The name of a type, or else of the typedef closest to it. */
  #nameOf(id: number, bare: number): string {
    let name = '';
    for (let at = id; at !== bare; at = this.btf.target(at)) {
      if (this.btf.kind(at) === BtfKind.TYPEDEF) name = this.btf.name(at);
    }
    return this.btf.name(bare) || name;
  }

  #make(id: number, name: string, depth: number): Shape {
    const type = this.btf.resolve(id);
    const { size } = type;
    const scalar = scalarOf(type);
    switch (type.kind) {
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        if (scalar !== undefined) return { kind: 'enum', id, name, size, scalar, values: this.btf.enumOf(id) };
        break;
      case BtfKind.ARRAY: {
        const element = this.#of(type.element, depth + 1);
        if (isByte(element)) return { kind: 'bytes', size };
        return { kind: 'array', element, length: type.length, size };
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION: {
        const kind = type.kind === BtfKind.UNION ? 'union' : 'struct';
        return { kind, id, name, size, fields: this.#fieldsOf(id, size, depth) };
      }
    }
    return scalar === undefined ? { kind: 'bytes', size } : { kind: 'scalar', scalar, size };
  }

  #fieldsOf(id: number, size: number, depth: number): FieldShape[] {
    const names = fieldNames();
    const members = this.#membersOf(id, 0, depth);
    const end = Math.max(0, ...members.map(endOf));
    if (end > size) throw new UnreadableObjectError('BTF', `type ${id} has members beyond its end`);
    return members.flatMap(({ at, member }): FieldShape[] => {
      const shape = this.#of(member.type, depth + 1);
      const name = names.take(member.name);
      if (member.bitfield) {
        const bits = { first: member.bitfield.offsetBits & 7, width: member.bitfield.width };
        // Nothing else can be a bit field in C.
        return shape.kind === 'scalar' || shape.kind === 'enum' ? [{ name, offset: at, shape, bits }] : [];
      }
      return [{ name, offset: at, shape: (at >= end ? asFlexible(shape) : undefined) ?? shape }];
    });
  }

  /** Members, with those of unnamed members in their place, and their offsets in bytes. */
  #membersOf(id: number, base: number, depth: number): Placed[] {
    if (depth > MAX_DEPTH) throw new UnreadableObjectError('BTF', `type ${id} contains itself or is nested too deep`);
    return this.btf.structOf(id).members.flatMap((member) => {
      const at = base + member.offsetBytes;
      if (member.name !== '') return [{ at, member }];
      const { kind, id: inner } = this.btf.resolve(member.type);
      const compound = kind === BtfKind.STRUCT || kind === BtfKind.UNION;
      return compound ? this.#membersOf(inner, at, depth + 1) : []; // else padding
    });
  }
}

interface Placed {
  /** Bytes from the start of the struct. */
  readonly at: number;
  readonly member: BtfMember;
}

const endOf = ({ at, member: { size, bitfield } }: Placed): number =>
  at + (bitfield ? Math.ceil(((bitfield.offsetBits & 7) + bitfield.width) / 8) : size);

/** `__proto__` is no property. */
const fieldNames = (): Names => new Names(['__proto__']);

/** An array without length at the end of a struct. */
function asFlexible(shape: Shape): Shape | undefined {
  if (shape.kind === 'bytes') return { kind: 'flexible', size: 0 };
  return shape.kind === 'array' && shape.element.size > 0
    ? { kind: 'flexible', element: shape.element, size: 0 }
    : undefined;
}
