// SPDX-License-Identifier: MIT
import { BtfKind, type BtfMember, type BtfStruct, type BtfType, type BtfVariable, trailerOf } from './btf-types';
import { UnknownNameError, UnreadableObjectError } from './errors';
import { littleEndian } from './native/ffi';

export { BtfKind } from './btf-types';
export type { BtfMember, BtfStruct, BtfType, BtfVariable } from './btf-types';

const MAGIC = 0xeb9f;
const MAX_DEPTH = 64;
/** Kinds that stand for another type, whose layout they have. */
const TRANSPARENT: ReadonlySet<number> = new Set([
  BtfKind.TYPEDEF,
  BtfKind.VOLATILE,
  BtfKind.CONST,
  BtfKind.RESTRICT,
  BtfKind.TYPE_TAG,
  BtfKind.VAR,
]);

/**
 * BPF Type Format, parsed in place: types by name, struct layouts and the variables of data sections.
 *
 * Format: Documentation/bpf/btf.rst. Split BTF (kernel modules) is not read.
 */
export class Btf {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #source: string;
  readonly #little: boolean;
  readonly #strings: number;
  readonly #stringsEnd: number;
  /** Offset of each type in the bytes; [0] is void and unused. */
  readonly #types: number[] = [0];
  #names: Map<string, number[]> | undefined;

  /**
   * @param bytes raw BTF, as in the `.BTF` section or /sys/kernel/btf/vmlinux; kept, not copied
   * @param source the name used in error messages
   * @throws UnreadableObjectError (`BPF_OBJECT`) if it is not BTF in this machine's byte order
   */
  constructor(bytes: Uint8Array, source = 'BTF') {
    this.#bytes = bytes;
    this.#source = source;
    this.#little = littleEndian;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 24) throw this.#bad(`${bytes.length} bytes are too few for BTF`);
    if (this.#u16(0) !== MAGIC) throw this.#bad('not BTF, or BTF of the other byte order');
    const header = this.#u32(4);
    const start = header + this.#u32(8);
    const end = start + this.#u32(12);
    this.#strings = header + this.#u32(16);
    this.#stringsEnd = this.#strings + this.#u32(20);
    if (header < 24 || end > bytes.length || this.#stringsEnd > bytes.length) throw this.#bad('truncated BTF');
    let at = start;
    while (at < end) {
      if (at + 12 > end) throw this.#bad('truncated BTF type');
      this.#types.push(at);
      at += 12 + this.#trailer(at);
    }
    if (at !== end) throw this.#bad('truncated BTF type');
  }

  /** Number of types, void included; ids are below it. */
  get typeCount(): number {
    return this.#types.length;
  }

  /** Kind of a type ({@link BtfKind}). */
  kind(id: number): number {
    return id === 0 ? BtfKind.VOID : (this.#u32(this.#at(id) + 4) >>> 24) & 0x1f;
  }

  /** Name of a type, empty if it has none. */
  name(id: number): string {
    return id === 0 ? '' : this.#string(this.#u32(this.#at(id)));
  }

  /** Ids of the types with this name, of one kind if given. */
  find(name: string, kind?: number): number[] {
    if (!this.#names) {
      this.#names = new Map();
      for (let id = 1; id < this.#types.length; id++) {
        const known = this.name(id);
        if (known === '') continue;
        const ids = this.#names.get(known);
        if (ids) ids.push(id);
        else this.#names.set(known, [id]);
      }
    }
    const ids = this.#names.get(name) ?? [];
    return kind === undefined ? [...ids] : ids.filter((id) => this.kind(id) === kind);
  }

  /** The texts of `__attribute__((btf_decl_tag("...")))` on a type or variable; those of its members are left out. */
  tagsOf(id: number): string[] {
    const tags: string[] = [];
    for (let tag = 1; tag < this.#types.length; tag++) {
      if (this.kind(tag) !== BtfKind.DECL_TAG) continue;
      const at = this.#at(tag);
      if (this.#u32(at + 8) === id && this.#u32(at + 12) === 0xffffffff) tags.push(this.name(tag));
    }
    return tags;
  }

  /** What a typedef, qualifier, tag, variable or pointer refers to directly; 0 for other types. */
  target(id: number): number {
    const kind = this.kind(id);
    return kind === BtfKind.PTR || TRANSPARENT.has(kind) ? this.#u32(this.#at(id) + 8) : 0;
  }

  /** Removes typedefs, const, volatile, restrict, tags and VAR from a type. */
  strip(id: number): number {
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (!TRANSPARENT.has(this.kind(id))) return id;
      id = this.target(id);
    }
    throw this.#bad(`type ${id} is a chain without an end`);
  }

  /** Id of the type that a pointer points to, with its typedefs and qualifiers; 0 for `void *` and for other types. */
  pointee(id: number): number {
    const bare = this.strip(id);
    return this.kind(bare) === BtfKind.PTR ? this.target(bare) : 0;
  }

  /** Bytes of a value of the type; pointers count 8, void and functions 0. */
  sizeOf(id: number): number {
    const type = this.resolve(id);
    return type.size;
  }

  /** The type beneath typedefs and qualifiers. */
  resolve(id: number): BtfType {
    return this.#resolve(id, 0);
  }

  /** Layout of a struct or union by name. Throws UnknownNameError. */
  struct(name: string): BtfStruct {
    for (const id of this.find(name)) {
      const bare = this.strip(id);
      const kind = this.kind(bare);
      if (kind === BtfKind.STRUCT || kind === BtfKind.UNION) return this.structOf(bare, name);
    }
    throw new UnknownNameError('struct', name, this.#namesOf(BtfKind.STRUCT, BtfKind.UNION));
  }

  /** Layout of a struct or union by type id. */
  structOf(id: number, name = this.name(id)): BtfStruct {
    const at = this.#at(this.strip(id));
    const info = this.#u32(at + 4);
    const bitfields = info >>> 31 === 1;
    const members: BtfMember[] = [];
    for (let i = 0; i < (info & 0xffff); i++) {
      const entry = at + 12 + i * 12;
      const type = this.#u32(entry + 4);
      const raw = this.#u32(entry + 8);
      const offsetBits = bitfields ? raw & 0xffffff : raw;
      const width = bitfields ? raw >>> 24 : 0;
      const member = {
        name: this.#string(this.#u32(entry)),
        offsetBytes: offsetBits >>> 3,
        size: this.sizeOf(type),
        type,
      };
      members.push(width === 0 ? member : { ...member, bitfield: { offsetBits, width } });
    }
    return { name, size: this.#u32(at + 8), members };
  }

  /**
   * Values of an enum by the names of its constants: exact, so bigint where a number would be rounded. Throws
   * UnknownNameError.
   */
  enum(name: string): Record<string, number | bigint> {
    for (const id of this.find(name)) {
      const bare = this.strip(id);
      const kind = this.kind(bare);
      if (kind === BtfKind.ENUM || kind === BtfKind.ENUM64) return this.enumOf(bare);
    }
    throw new UnknownNameError('enum', name, this.#namesOf(BtfKind.ENUM, BtfKind.ENUM64));
  }

  /** Values of an enum by type id, as {@link enum} gives them. */
  enumOf(id: number): Record<string, number | bigint> {
    const bare = this.strip(id);
    return this.#enumValues(bare, this.kind(bare));
  }

  /** Names of the data sections, such as `.rodata`. */
  get sections(): string[] {
    return this.#namesOf(BtfKind.DATASEC);
  }

  /**
   * Variables of a data section, for example `.rodata`. Throws UnknownNameError.
   *
   * Compilers leave offsets at 0 in the object file; libbpf fills them in when it opens the object.
   */
  datasec(name: string): BtfVariable[] {
    const id = this.find(name, BtfKind.DATASEC)[0];
    if (id === undefined) throw new UnknownNameError('section', name, this.sections);
    const at = this.#at(id);
    const count = this.#u32(at + 4) & 0xffff;
    return Array.from({ length: count }, (_, i) => {
      const entry = at + 12 + i * 12;
      const type = this.#u32(entry);
      return { name: this.name(type), offset: this.#u32(entry + 4), size: this.#u32(entry + 8), type };
    });
  }

  #resolve(id: number, depth: number): BtfType {
    if (depth > MAX_DEPTH) throw this.#bad(`type ${id} is nested too deep`);
    const bare = this.strip(id);
    const kind = this.kind(bare);
    const type = { id: bare, kind, name: this.name(bare), size: 0, signed: false, bool: false, element: 0, length: 0 };
    if (bare === 0) return type;
    const at = this.#at(bare);
    const size = this.#u32(at + 8);
    switch (kind) {
      case BtfKind.INT: {
        const encoding = (this.#u32(at + 12) >>> 24) & 0x0f;
        return { ...type, size, signed: (encoding & 1) !== 0, bool: (encoding & 4) !== 0 };
      }
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return { ...type, size, signed: this.#u32(at + 4) >>> 31 === 1 };
      case BtfKind.STRUCT:
      case BtfKind.UNION:
      case BtfKind.FLOAT:
      case BtfKind.DATASEC:
        return { ...type, size };
      case BtfKind.PTR:
        return { ...type, size: 8 };
      case BtfKind.ARRAY: {
        const element = this.#u32(at + 12);
        const length = this.#u32(at + 20);
        return { ...type, element, length, size: this.#resolve(element, depth + 1).size * length };
      }
      default:
        return type;
    }
  }

  #enumValues(id: number, kind: number): Record<string, number | bigint> {
    const at = this.#at(id);
    const info = this.#u32(at + 4);
    const signed = info >>> 31 === 1;
    const values: Record<string, number | bigint> = {};
    const width = kind === BtfKind.ENUM ? 8 : 12;
    for (let i = 0; i < (info & 0xffff); i++) {
      const entry = at + 12 + i * width;
      const low = this.#u32(entry + 4);
      const high = kind === BtfKind.ENUM ? 0 : this.#u32(entry + 8);
      const value =
        kind === BtfKind.ENUM
          ? signed
            ? low | 0
            : low
          : exact((BigInt(signed ? high | 0 : high) << 32n) | BigInt(low));
      values[this.#string(this.#u32(entry))] = value;
    }
    return values;
  }

  /** Number of bytes after the 12 that all types have. */
  #trailer(at: number): number {
    const info = this.#u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const bytes = trailerOf(kind, info & 0xffff);
    if (bytes === undefined) throw this.#bad(`BTF kind ${kind} is unknown`);
    return bytes;
  }

  #namesOf(...kinds: number[]): string[] {
    const names = new Set<string>();
    for (let id = 1; id < this.#types.length; id++) {
      if (kinds.includes(this.kind(id)) && this.name(id) !== '') names.add(this.name(id));
    }
    return [...names];
  }

  #at(id: number): number {
    const at = this.#types[id];
    if (at === undefined || id === 0) throw this.#bad(`there is no type ${id}`);
    return at;
  }

  #string(offset: number): string {
    const start = this.#strings + offset;
    if (start >= this.#stringsEnd) throw this.#bad(`string offset ${offset} is out of bounds`);
    const end = this.#bytes.indexOf(0, start);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).toString('utf8');
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  #u32(at: number): number {
    try {
      return this.#view.getUint32(at, this.#little);
    } catch {
      throw this.#bad('truncated BTF');
    }
  }

  #bad(why: string): UnreadableObjectError {
    return new UnreadableObjectError(this.#source, why, { operation: 'parse BTF' });
  }
}

/** A number where that is exact. */
function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
