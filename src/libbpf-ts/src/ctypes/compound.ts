// SPDX-License-Identifier: MIT
/** Bytes, arrays, flexible arrays, structs and unions. */
import { isDeepStrictEqual } from 'node:util';

import { CType, Misfit, within } from './ctype';
import { compiledReader, plainReader, type Reader } from './reader';
import { BitField, describe } from './scalar';

/** Bytes of a value that stands for bytes: text is UTF-8. */
function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return new TextEncoder().encode(value);
  if (!Array.isArray(value)) throw new Misfit(`${describe(value)} is neither bytes nor a string`);
  const values = value as readonly unknown[];
  const wrong = values.findIndex((each) => !Number.isInteger(each) || Number(each) < -128 || Number(each) > 255);
  if (wrong >= 0) throw within(`[${wrong}]`, new Misfit(`${describe(values[wrong])} is no byte`));
  return Uint8Array.from(values as readonly number[]);
}

/** The text in an array of characters: UTF-8, up to the first NUL. */
export function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

class Bytes extends CType<Uint8Array> {
  override readonly composite = true;
  /** @param open whether the bytes go on to the end of the memory */
  constructor(name: string, size: number, open: boolean) {
    super(name, size);
    this.flexible = open;
  }

  override readonly flexible: boolean;

  override sizeFor(value: unknown): number {
    return this.flexible ? bytesOf(value).length : this.size;
  }

  read(memory: DataView, at: number, end: number): Uint8Array {
    const length = this.flexible ? Math.max(end - at, 0) : this.size;
    return new Uint8Array(memory.buffer, memory.byteOffset + at, length).slice();
  }

  write(memory: DataView, at: number, value: unknown): void {
    const bytes = bytesOf(value);
    if (!this.flexible && bytes.length > this.size)
      throw new Misfit(`${bytes.length} bytes are too many for ${this.size}`);
    const field = new Uint8Array(memory.buffer, memory.byteOffset + at, this.flexible ? bytes.length : this.size);
    field.fill(0);
    field.set(bytes);
  }
}

/** An array of bytes or characters. Fewer may be given: the rest is zero. */
export const bytes = (length: number): CType<Uint8Array> => new Bytes(`char [${length}]`, length, false);

/** All bytes that there are, of a type that is not known, or a flexible array of bytes. */
export const rawBytes: CType<Uint8Array> = new Bytes('bytes', 0, true);

/** The elements of a flexible array that is not at the end would be written over what follows. */
function requireClosed(type: CType<unknown>, value: unknown): void {
  if (type.flexible && type.sizeFor(value) > type.size)
    throw new Misfit('its flexible array has to be empty, because it is not at the end');
}

class ArrayOf<T> extends CType<readonly T[]> {
  override readonly composite = true;
  override readonly exact: boolean;
  override readonly flexible: boolean;

  /** @param length undefined for a flexible array */
  constructor(
    readonly element: CType<T>,
    readonly length: number | undefined,
  ) {
    super(`${element.name} [${length ?? ''}]`, element.size * (length ?? 0));
    this.exact = element.exact;
    this.flexible = length === undefined;
  }

  override sizeFor(value: unknown): number {
    return this.length === undefined ? this.#elements(value).length * this.element.size : this.size;
  }

  read(memory: DataView, at: number, end: number): readonly T[] {
    const { element } = this;
    const length = this.length ?? (element.size === 0 ? 0 : Math.max(0, Math.floor((end - at) / element.size)));
    const values = new Array<T>(length);
    for (let i = 0; i < length; i++, at += element.size) values[i] = element.read(memory, at, at + element.size);
    return values;
  }

  write(memory: DataView, at: number, value: unknown): void {
    const values = this.#elements(value);
    if (this.length !== undefined && values.length > this.length)
      throw new Misfit(`${values.length} elements are too many for ${this.length}`);
    const { element } = this;
    for (let i = 0; i < values.length; i++) {
      try {
        requireClosed(element, values[i]);
        element.write(memory, at + i * element.size, values[i]);
      } catch (error) {
        throw within(`[${i}]`, error);
      }
    }
    // What was there before may be longer.
    const rest = at + values.length * element.size;
    new Uint8Array(memory.buffer, memory.byteOffset + rest, Math.max(0, at + this.size - rest)).fill(0);
  }

  #elements(value: unknown): ArrayLike<unknown> {
    if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView)))
      return value as ArrayLike<unknown>;
    throw new Misfit(`${describe(value)} is no array`);
  }
}

/** An array. Fewer elements may be given: the rest is zero. */
export const array = <T>(element: CType<T>, length: number): CType<readonly T[]> => new ArrayOf(element, length);

/** A flexible array, `element name[]`: it goes on to the end of the memory. */
export const flexible = <T>(element: CType<T>): CType<readonly T[]> => new ArrayOf(element, undefined);

/** A field of a struct: its name, its offset in bytes, its type. */
export type Field = readonly [name: string, offset: number, type: CType<unknown>];

interface PlacedField {
  readonly name: string;
  readonly offset: number;
  readonly type: CType<unknown>;
  /** Whether its flexible array may have elements. */
  readonly open: boolean;
  /** Whether it shares bits with another field, as in a union. */
  readonly shared: boolean;
  /** Whether all objects have something of that name, such as toString. */
  readonly inherited: boolean;
}

/** Compiling takes about as long as reading that many structs. */
const READS_BEFORE_COMPILING = 100;

/** Where the last of the fields ends, in bytes. */
const endOf = (fields: readonly Field[]): number =>
  Math.max(0, ...fields.map(([, offset, type]) => offset + type.size));

/** Whether a field is or ends with a flexible array that has no other field behind it. */
const isOpen = (offset: number, type: CType<unknown>, end: number): boolean =>
  type.flexible && offset + type.size >= end;

/** First bit and the bit after the last, from the start of the struct. */
function extentOf([, offset, type]: Field, end: number): [number, number] {
  if (type instanceof BitField) return [offset * 8 + type.bit, offset * 8 + type.bit + type.width];
  return [offset * 8, isOpen(offset, type, end) ? Infinity : (offset + type.size) * 8];
}

/** Fields that share bits with others. */
function sharedOf(fields: readonly Field[], end: number): Set<Field> {
  const shared = new Set<Field>();
  const placed = fields
    .map((field) => ({ field, extent: extentOf(field, end) }))
    .sort((a, b) => a.extent[0] - b.extent[0]);
  let open: typeof placed = [];
  for (const each of placed) {
    if (each.extent[1] <= each.extent[0]) continue;
    open = open.filter(({ extent }) => extent[1] > each.extent[0]);
    if (open.length > 0) [each, ...open].forEach(({ field }) => shared.add(field));
    open.push(each);
  }
  return shared;
}

/** A struct or union as an object. */
export class Compound<T> extends CType<T> {
  override readonly composite = true;
  override readonly exact: boolean;
  override readonly flexible: boolean;
  readonly fields: readonly PlacedField[];
  /** In the order in which they are written: where fields share bits, those that lose some come first. */
  readonly #written: readonly PlacedField[];
  readonly #names: ReadonlySet<string>;
  #read: Reader;
  #reads = 0;

  constructor(name: string, size: number, fields: readonly Field[]) {
    super(name, size);
    const end = endOf(fields);
    const shared = sharedOf(fields, end);
    this.fields = fields.map((field) => ({
      name: field[0],
      offset: field[1],
      type: field[2],
      open: isOpen(field[1], field[2], end),
      shared: shared.has(field),
      inherited: field[0] in Object.prototype,
    }));
    this.#written = [...this.fields].sort((a, b) => Number(a.type.exact) - Number(b.type.exact));
    this.#names = new Set(fields.map(([each]) => each));
    this.#read = plainReader(this.fields);
    this.exact = fields.every(([, , type]) => type.exact);
    this.flexible = this.fields.some(({ open }) => open);
  }

  override sizeFor(value: unknown): number {
    if (!this.flexible || typeof value !== 'object' || value === null) return this.size;
    const given = value as Readonly<Record<string, unknown>>;
    const ends = this.fields
      .filter(({ name, open }) => open && given[name] !== undefined)
      .map(({ name, offset, type }) => offset + type.sizeFor(given[name]));
    return Math.max(this.size, ...ends);
  }

  read(memory: DataView, at: number, end: number): T {
    if (this.#reads < READS_BEFORE_COMPILING && ++this.#reads === READS_BEFORE_COMPILING)
      this.#read = compiledReader(this.fields) ?? this.#read;
    return this.#read(memory, at, end) as T;
  }

  write(memory: DataView, at: number, value: unknown): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Misfit(`${describe(value)} is no object`);
    const given = value as Readonly<Record<string, unknown>>;
    let shared: PlacedField[] | undefined;
    let found = 0;
    for (const field of this.#written) {
      if (given[field.name] === undefined || (field.inherited && !Object.hasOwn(given, field.name))) continue;
      found++;
      writeField(memory, at, field, given);
      if (field.shared) (shared ??= []).push(field);
    }
    const names = Object.keys(given);
    if (names.length > found) this.#requireKnown(names);
    if (shared && shared.length > 1) this.#requireAgreement(memory, at, shared, given);
  }

  #requireKnown(names: readonly string[]): void {
    const unknown = names.find((name) => !this.#names.has(name));
    if (unknown === undefined) return;
    throw new Misfit(`no field is named "${unknown}"; there are: ${[...this.#names].sort().join(', ')}`);
  }

  /** Fields that share bits must say the same of them, or else the value that was meant would be lost. */
  #requireAgreement(memory: DataView, at: number, fields: readonly PlacedField[], given: object): void {
    const written = new Uint8Array(memory.buffer, memory.byteOffset + at, memory.byteLength - at);
    for (const field of fields) {
      const copy = written.slice();
      const view = new DataView(copy.buffer);
      writeField(view, 0, field, given as Readonly<Record<string, unknown>>);
      if (copy.every((byte, i) => byte === written[i])) continue;
      // Different bytes may still mean the same, such as those of a bool.
      const valueIn = (from: DataView, start: number): unknown =>
        field.type.read(from, start + field.offset, start + copy.length);
      if (!isDeepStrictEqual(valueIn(view, 0), valueIn(memory, at)))
        throw within(`.${field.name}`, new Misfit('another field of the same union says otherwise; give one of them'));
    }
  }
}

function writeField(
  memory: DataView,
  at: number,
  { name, offset, type, open }: PlacedField,
  given: Readonly<Record<string, unknown>>,
): void {
  try {
    if (!open) requireClosed(type, given[name]);
    type.write(memory, at + offset, given[name]);
  } catch (error) {
    throw within(`.${name}`, error);
  }
}

/**
 * A struct or union.
 *
 * @param name in C, for messages
 * @param size bytes
 * @param fields those of unnamed members count as fields of the struct itself, as in C
 */
export const struct = <T>(name: string, size: number, fields: readonly Field[]): CType<T> =>
  new Compound<T>(name, size, fields);
