// SPDX-License-Identifier: MIT
/** The sections of an ELF file, checked against its length. */
import { UnreadableObjectError } from './errors';
import { littleEndian } from './native/ffi';

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** {@link SectionType} */
  readonly type: number;
  readonly flags: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly entrySize: number;
}

export const SectionType = { NULL: 0, PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOBITS: 8, REL: 9 } as const;

const HEADER_SIZE = 64;
const SECTION_SIZE = 64;
const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 16;
const SHN_LORESERVE = 0xff00;
const ET_REL = 1;
const EM_BPF = 247;

/** An ELF file of 64 bits in this machine's byte order. */
export class Elf {
  readonly sections: readonly ElfSection[];
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #source: string;

  /** @throws UnreadableObjectError (`BPF_OBJECT`) for a file that contradicts itself */
  constructor(bytes: Uint8Array, source: string) {
    this.#bytes = bytes;
    this.#source = source;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_SIZE) throw this.#bad(`${bytes.length} bytes are too few for an ELF file`);
    const magic = [0x7f, 0x45, 0x4c, 0x46];
    if (magic.some((byte, i) => bytes[i] !== byte)) throw this.#bad('not an ELF file');
    if (bytes[4] !== 2) throw this.#bad('not an ELF file of 64 bits');
    if ((bytes[5] === 1) !== littleEndian) throw this.#bad('has the other byte order');
    const table = this.#u64(40);
    const count = this.#u16(60);
    const names = this.#u16(62);
    if (this.#u16(58) !== SECTION_SIZE) throw this.#bad(`section headers have ${this.#u16(58)} bytes`);
    if (count === 0 || table + count * SECTION_SIZE > bytes.length) throw this.#bad('its section headers are cut off');
    if (names >= count) throw this.#bad(`the section of names is ${names}, of ${count} sections`);
    const raw = Array.from({ length: count }, (_, index) => this.#section(table, index));
    const strings = raw[names]!;
    if (strings.type !== SectionType.STRTAB) throw this.#bad('the section of names has another type');
    this.sections = raw.map(({ nameOffset, ...section }) => ({ ...section, name: this.string(strings, nameOffset) }));
  }

  #section(table: number, index: number): Omit<ElfSection, 'name'> & { readonly nameOffset: number } {
    const at = table + index * SECTION_SIZE;
    const [type, offset, size] = [this.#u32(at + 4), this.#u64(at + 24), this.#u64(at + 32)];
    if (index > 0 && type !== SectionType.NOBITS && offset + size > this.#bytes.length) {
      throw this.#bad(`section ${index} is cut off: bytes ${offset} to ${offset + size} of ${this.#bytes.length}`);
    }
    return {
      index,
      nameOffset: this.#u32(at),
      type,
      flags: this.#u64(at + 8),
      offset,
      size,
      link: this.#u32(at + 40),
      info: this.#u32(at + 44),
      entrySize: this.#u64(at + 56),
    };
  }

  /** Throws unless it is what `clang -target bpf -c` makes. */
  requireBpf(): void {
    const machine = this.#u16(18);
    if (this.#u16(16) !== ET_REL || (machine !== 0 && machine !== EM_BPF)) {
      throw this.#bad('an ELF file, but not of BPF; clang -target bpf makes those');
    }
  }

  /** The bytes of a section, in place. */
  bytes({ offset, size, type }: ElfSection): Uint8Array {
    return type === SectionType.NOBITS ? new Uint8Array(0) : this.#bytes.subarray(offset, offset + size);
  }

  /** A string of a section of strings. */
  string(section: Pick<ElfSection, 'index' | 'offset' | 'size'>, at: number): string {
    if (at >= section.size) throw this.#bad(`string ${at} is outside of section ${section.index}`);
    const end = this.#bytes.indexOf(0, section.offset + at);
    if (end < 0 || end >= section.offset + section.size)
      throw this.#bad(`a string of section ${section.index} is cut off`);
    return Buffer.from(
      this.#bytes.buffer,
      this.#bytes.byteOffset + section.offset + at,
      end - section.offset - at,
    ).toString();
  }

  /** Checks symbols and relocations against the sections that they are about. */
  checkReferences(): void {
    const tables = this.sections.filter(({ type }) => type === SectionType.SYMTAB);
    if (tables.length > 1) throw this.#bad('has several symbol tables');
    for (const section of this.sections) {
      if (section.type === SectionType.SYMTAB) this.#checkSymbols(section);
      if (section.type === SectionType.REL) this.#checkRelocations(section, tables[0]);
    }
  }

  #checkSymbols(table: ElfSection): void {
    const strings = this.sections[table.link];
    if (strings?.type !== SectionType.STRTAB) throw this.#bad('its symbols have no names');
    if (table.entrySize !== SYMBOL_SIZE || table.size % SYMBOL_SIZE !== 0)
      throw this.#bad('its symbol table is malformed');
    for (let at = table.offset; at < table.offset + table.size; at += SYMBOL_SIZE) {
      const place = this.#u16(at + 6);
      if (place >= this.sections.length && place < SHN_LORESERVE) throw this.#bad(`a symbol is in section ${place}`);
      this.string(strings, this.#u32(at));
    }
  }

  #checkRelocations(table: ElfSection, symbols: ElfSection | undefined): void {
    if (table.entrySize !== RELOCATION_SIZE || table.size % RELOCATION_SIZE !== 0) {
      throw this.#bad(`relocations ${table.name} are malformed`);
    }
    if (table.info === 0 || table.info >= this.sections.length)
      throw this.#bad(`relocations ${table.name} belong to no section`);
    if (symbols === undefined || table.link !== symbols.index)
      throw this.#bad(`relocations ${table.name} have no symbols`);
    const target = this.sections[table.info]!;
    const count = symbols.size / SYMBOL_SIZE;
    for (let at = table.offset; at < table.offset + table.size; at += RELOCATION_SIZE) {
      const symbol = this.#u32(at + 12);
      if (symbol >= count) throw this.#bad(`a relocation in ${table.name} is about symbol ${symbol}, of ${count}`);
      if (this.#u64(at) >= target.size) throw this.#bad(`a relocation in ${table.name} is outside of its section`);
    }
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, littleEndian);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, littleEndian);
  }

  /** Inexact above 2^53, where everything is too large. */
  #u64(at: number): number {
    const [first, second] = [this.#u32(at), this.#u32(at + 4)];
    return littleEndian ? second * 2 ** 32 + first : first * 2 ** 32 + second;
  }

  #bad(why: string): UnreadableObjectError {
    return new UnreadableObjectError(this.#source, why, { operation: 'parse ELF' });
  }
}
