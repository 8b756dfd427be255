// SPDX-License-Identifier: MIT
/**
 * What libbpf takes for granted in an object file, checked before libbpf sees it: releases up to 1.2 read out of bounds,
 * call strcmp() with NULL or recurse without end when BTF contradicts itself. A compiler makes no such files; damage
 * and attackers do.
 */
import { BtfKind, trailerOf } from './btf-types';
import { Elf, type ElfSection, SectionType } from './elf';
import { UnreadableObjectError } from './errors';
import { littleEndian } from './native/ffi';

const BTF_MAGIC = 0xeb9f;
const BTF_HEADER_SIZE = 24;
const TYPE_SIZE = 12;
/** As deep as by-value nesting may go; the kernel's limit is 32 (MAX_RESOLVE_DEPTH). */
const DEPTH_MAX = 64;

/** @throws UnreadableObjectError (`BPF_OBJECT`) for an object that contradicts itself */
export function checkObject(image: Uint8Array, source: string): void {
  const elf = new Elf(image, source);
  elf.requireBpf();
  elf.checkReferences();
  for (const section of elf.sections) checkKind(section, source);
  const btf = only(elf, '.BTF', source);
  const ext = only(elf, '.BTF.ext', source);
  const checked = btf && new CheckedBtf(elf.bytes(btf), source);
  if (ext && checked?.isKnown) checkExtension(elf.bytes(ext), checked, source);
}

/** Sections without content in the file are for zeroed variables alone: libbpf reads every other. */
function checkKind({ name, type, size }: ElfSection, source: string): void {
  if (type === SectionType.NOBITS && size > 0 && name !== '.bss' && !name.startsWith('.bss.')) {
    throw bad(source, `section ${name} has no content`);
  }
}

function only(elf: Elf, wanted: string, source: string): ElfSection | undefined {
  const found = elf.sections.filter(({ name }) => name === wanted);
  if (found.length > 1) throw bad(source, `has several sections ${wanted}`);
  return found[0];
}

const bad = (source: string, why: string): UnreadableObjectError =>
  new UnreadableObjectError(source, why, { operation: 'check object' });

/** Words of 32 bits in a section. */
class Words {
  readonly length: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.byteLength;
  }

  u16(at: number): number {
    return this.#view.getUint16(at, littleEndian);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, littleEndian);
  }
}

interface CheckedType {
  readonly at: number;
  readonly kind: number;
  readonly vlen: number;
}

/** BTF whose every reference leads somewhere. */
class CheckedBtf {
  readonly #words: Words;
  readonly #source: string;
  readonly #strings: number;
  readonly #types: CheckedType[] = [{ at: 0, kind: BtfKind.VOID, vlen: 0 }];
  /** False for BTF with kinds of types that were added later: libbpf knows them, or refuses them. */
  readonly isKnown: boolean;

  constructor(bytes: Uint8Array, source: string) {
    this.#words = new Words(bytes);
    this.#source = source;
    const words = this.#words;
    if (words.length < BTF_HEADER_SIZE) throw this.#bad('is cut off');
    if (words.u16(0) !== BTF_MAGIC) throw this.#bad('has another magic number or byte order');
    const header = words.u32(4);
    const types = header + words.u32(8);
    const typesEnd = types + words.u32(12);
    const strings = header + words.u32(16);
    const stringsEnd = strings + words.u32(20);
    if (bytes[2] !== 1) throw this.#bad(`has version ${bytes[2]}`);
    if (header < BTF_HEADER_SIZE || header % 4 !== 0 || types % 4 !== 0) throw this.#bad('has a malformed header');
    if (typesEnd > strings || stringsEnd > words.length) throw this.#bad('is cut off');
    this.#strings = stringsEnd - strings;
    if (this.#strings === 0 || bytes[strings] !== 0 || bytes[stringsEnd - 1] !== 0)
      throw this.#bad('has malformed strings');
    let at = types;
    while (at < typesEnd && kindAt(words, at, typesEnd) <= BtfKind.ENUM64) at = this.#add(at, typesEnd);
    this.isKnown = at === typesEnd;
    if (!this.isKnown) return;
    for (let id = 1; id < this.#types.length; id++) this.#checkReferences(id);
    this.#checkNesting();
  }

  /** Checks the offset of a string. */
  string(offset: number, where: string): void {
    if (offset >= this.#strings) throw this.#bad(`${where} has its name outside of the strings`);
  }

  /** Checks the number of a type. */
  type(id: number, where: string): void {
    if (id >= this.#types.length) throw this.#bad(`${where} refers to type ${id}, of ${this.#types.length}`);
  }

  #add(at: number, end: number): number {
    const id = this.#types.length;
    if (at + TYPE_SIZE > end) throw this.#bad(`is cut off in type ${id}`);
    const info = this.#words.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const vlen = info & 0xffff;
    const next = at + TYPE_SIZE + (trailerOf(kind, vlen) ?? 0);
    if (kind === BtfKind.VOID) throw this.#bad(`has type ${id} of kind 0`);
    if (next > end) throw this.#bad(`is cut off in type ${id}`);
    this.#types.push({ at, kind, vlen });
    return next;
  }

  #checkReferences(id: number): void {
    const { at, kind, vlen } = this.#types[id]!;
    const words = this.#words;
    const where = `type ${id}`;
    this.string(words.u32(at), where);
    const target = words.u32(at + 8);
    const more = at + TYPE_SIZE;
    switch (kind) {
      case BtfKind.PTR:
      case BtfKind.TYPEDEF:
      case BtfKind.VOLATILE:
      case BtfKind.CONST:
      case BtfKind.RESTRICT:
      case BtfKind.VAR:
      case BtfKind.TYPE_TAG:
      case BtfKind.DECL_TAG:
        return this.type(target, where);
      case BtfKind.FUNC:
        this.type(target, where);
        if (this.#types[target]!.kind !== BtfKind.FUNC_PROTO)
          throw this.#bad(`${where} is a function without a prototype`);
        return;
      case BtfKind.ARRAY:
        this.type(words.u32(more), where);
        return this.type(words.u32(more + 4), where);
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        for (let i = 0; i < vlen; i++) {
          this.string(words.u32(more + 12 * i), `member ${i} of ${where}`);
          this.type(words.u32(more + 12 * i + 4), `member ${i} of ${where}`);
        }
        return;
      case BtfKind.ENUM:
        for (let i = 0; i < vlen; i++) this.string(words.u32(more + 8 * i), `value ${i} of ${where}`);
        return;
      case BtfKind.ENUM64:
        for (let i = 0; i < vlen; i++) this.string(words.u32(more + 12 * i), `value ${i} of ${where}`);
        return;
      case BtfKind.FUNC_PROTO:
        this.type(target, where);
        for (let i = 0; i < vlen; i++) {
          this.string(words.u32(more + 8 * i), `parameter ${i} of ${where}`);
          this.type(words.u32(more + 8 * i + 4), `parameter ${i} of ${where}`);
        }
        return;
      case BtfKind.DATASEC:
        for (let i = 0; i < vlen; i++) this.#checkVariable(words.u32(more + 12 * i), `variable ${i} of ${where}`);
        return;
    }
  }

  /** Data sections hold variables; `.ksyms` functions, too. */
  #checkVariable(id: number, where: string): void {
    this.type(id, where);
    const { kind } = this.#types[id]!;
    if (kind !== BtfKind.VAR && kind !== BtfKind.FUNC) throw this.#bad(`${where} is no variable`);
  }

  /** No type contains itself by value, through any chain of typedefs, arrays and structs. */
  #checkNesting(): void {
    const depth = new Int32Array(this.#types.length);
    const IN_PROGRESS = -1;
    // A stack of its own: that of the thread is what an endless chain would use up.
    const path: { readonly id: number; readonly parts: readonly number[]; next: number; deepest: number }[] = [];
    const enter = (id: number): void => {
      depth[id] = IN_PROGRESS;
      path.push({ id, parts: this.#partsOf(id), next: 0, deepest: 0 });
    };
    for (let root = 1; root < depth.length; root++) {
      if (depth[root] !== 0) continue;
      enter(root);
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const part = top.parts[top.next];
        if (part === undefined) {
          depth[top.id] = top.deepest + 1;
          path.pop();
          const above = path.at(-1);
          if (above) above.deepest = Math.max(above.deepest, top.deepest + 1);
          continue;
        }
        const known = depth[part]!;
        if (known === IN_PROGRESS) throw this.#bad(`has type ${part}, which contains itself`);
        if (path.length > DEPTH_MAX || known > DEPTH_MAX) throw this.#bad(`nests types too deep, at type ${root}`);
        top.next++;
        if (known === 0) enter(part);
        else top.deepest = Math.max(top.deepest, known);
      }
    }
  }

  /** The types of which a type consists. */
  #partsOf(id: number): number[] {
    const { at, kind, vlen } = this.#types[id]!;
    const more = at + TYPE_SIZE;
    const partAt = (place: number): number[] => {
      const part = this.#words.u32(place);
      return part === 0 ? [] : [part];
    };
    switch (kind) {
      case BtfKind.TYPEDEF:
      case BtfKind.VOLATILE:
      case BtfKind.CONST:
      case BtfKind.RESTRICT:
      case BtfKind.TYPE_TAG:
      case BtfKind.VAR:
        return partAt(at + 8);
      case BtfKind.ARRAY:
        return partAt(more);
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return Array.from({ length: vlen }, (_, i) => partAt(more + 12 * i + 4)).flat();
      default:
        return [];
    }
  }

  #bad(why: string): UnreadableObjectError {
    return bad(this.#source, `its BTF ${why}`);
  }
}

const kindAt = (words: Words, at: number, end: number): number =>
  at + TYPE_SIZE > end ? BtfKind.VOID : (words.u32(at + 4) >>> 24) & 0x1f;

/** The parts of `.BTF.ext`: where the header has their offset and length, and what a record begins with. */
const PARTS = [
  { name: 'function', header: 8, least: 8, record: { type: 4 } },
  { name: 'line', header: 16, least: 16, record: { file: 4, text: 8 } },
  { name: 'relocation', header: 24, least: 16, record: { type: 4, text: 8 } },
] as const;

function checkExtension(bytes: Uint8Array, btf: CheckedBtf, source: string): void {
  const words = new Words(bytes);
  const wrong = (why: string): UnreadableObjectError => bad(source, `its .BTF.ext ${why}`);
  if (words.length < BTF_HEADER_SIZE) throw wrong('is cut off');
  if (words.u16(0) !== BTF_MAGIC || bytes[2] !== 1) throw wrong('has another magic number, byte order or version');
  const header = words.u32(4);
  if (header < BTF_HEADER_SIZE || header > words.length) throw wrong('has a malformed header');
  for (const { name, header: place, least, record } of PARTS) {
    if (place + 8 > header) break;
    const start = header + words.u32(place);
    const end = start + words.u32(place + 4);
    if (end === start) continue;
    if (start % 4 !== 0 || end > words.length || end - start < 4) throw wrong(`is cut off in ${name} records`);
    const size = words.u32(start);
    if (size < least || size % 4 !== 0) throw wrong(`has ${name} records of ${size} bytes`);
    for (let at = start + 4; at < end;) {
      if (at + 8 > end) throw wrong(`is cut off in ${name} records`);
      const count = words.u32(at + 4);
      btf.string(words.u32(at), `a section of ${name} records`);
      const next = at + 8 + count * size;
      if (count === 0 || next > end) throw wrong(`is cut off in ${name} records`);
      for (let each = at + 8; each < next; each += size) {
        if ('type' in record) btf.type(words.u32(each + record.type), `a ${name} record`);
        if ('file' in record) btf.string(words.u32(each + record.file), `a ${name} record`);
        if ('text' in record) btf.string(words.u32(each + record.text), `a ${name} record`);
      }
      at = next;
    }
  }
}
