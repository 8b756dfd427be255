// SPDX-License-Identifier: MIT
/** `libbpf-ts layout`: offsets, sizes and enums as constants. */
import { type Btf, BtfKind, type BtfType } from '../btf';
import { identifier, inComment, Names, property } from '../ctypes/names';
import { UnreadableObjectError } from '../errors';
import { isCompound, MAPS, typesOfMap } from './contents';

/** Sections of global variables; those of `.kconfig` are the kernel's. */
const VARIABLES = /^\.(data|bss|rodata)(\.|$)/;

/** Members without meaning: `pad0`, `__reserved`. */
const PADDING = /^_*(pad|padding|reserved)\d*$/;

/** tx_packets as txPackets; underscores at either end stay. */
const camelCase = (name: string): string =>
  name.replace(/(?<=[A-Za-z\d])_+([A-Za-z\d])/g, (_, next: string) => next.toUpperCase());

/** The beginning that all names share, up to an underscore; empty for a single name. */
function commonBeginning(names: readonly string[]): string {
  const [first = ''] = names;
  let beginning = names.length < 2 ? '' : first.slice(0, first.lastIndexOf('_') + 1);
  while (beginning !== '' && !names.every((name) => name.startsWith(beginning) && name !== beginning)) {
    beginning = beginning.slice(0, beginning.lastIndexOf('_', beginning.length - 2) + 1);
  }
  return beginning;
}

/** FNV-1a of 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

type Entry = readonly [name: string, value: number | bigint];

/** A literal of a number that may be too large for one. */
export const literal = (value: number | bigint): string => (typeof value === 'bigint' ? `${value}n` : String(value));

/** Constants for each struct and enum, by its name in C. */
class Constants {
  readonly texts = new Map<string, string>();
  readonly #btf: Btf;
  readonly #seen = new Set<number>();
  readonly #taken = new Names(['LAYOUT_HASH']);

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** Adds all structs and enums that a value of the type holds. */
  add(id: number): void {
    const type = this.#btf.resolve(id);
    if (this.#seen.has(type.id)) return;
    this.#seen.add(type.id);
    switch (type.kind) {
      case BtfKind.ARRAY:
        this.add(type.element);
        break;
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        this.#addEnum(type.name, Object.entries(this.#btf.enumOf(type.id)));
        break;
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        for (const member of this.#btf.structOf(type.id).members) this.add(member.type);
        if (type.name !== '') this.#addStruct(type);
    }
  }

  #addStruct({ id, kind, name, size }: BtfType): void {
    const comment = `${kind === BtfKind.UNION ? 'union' : 'struct'} ${name}, ${size} bytes.`;
    this.#write(name, comment, [...this.#offsetsOf(id), ['size', size]]);
  }

  #addEnum(name: string, values: readonly Entry[]): void {
    const beginning = name === '' ? '' : commonBeginning(values.map(([each]) => each));
    if (beginning !== '') {
      this.#write(
        name,
        `enum ${name}.`,
        values.map(([each, value]) => [each.slice(beginning.length).toLowerCase(), value]),
      );
      return;
    }
    const lines = values
      .map(([each, value]) => `export const ${this.#taken.take(identifier(each))} = ${literal(value)};\n`)
      .join('');
    this.texts.set(name || lines, `// enum ${inComment(name || 'without a name')}\n${lines}`);
  }

  #write(name: string, comment: string, entries: readonly Entry[]): void {
    // `__proto__: 0` in an object literal makes no property.
    const taken = new Names(['__proto__']);
    const lines = entries.map(([each, value]) => {
      return `  ${property(taken.take(camelCase(each)))}: ${literal(value)},\n`;
    });
    this.texts.set(
      name,
      `/** ${inComment(comment)} */\nexport const ${this.#taken.take(identifier(name.toUpperCase()))} = {\n${lines.join('')}} as const;\n`,
    );
  }

  /** In bytes. Members of an unnamed struct follow with the name of the member that it is, if it has one. */
  #offsetsOf(id: number, base = 0, context = ''): Entry[] {
    return this.#btf.structOf(id).members.flatMap(({ name, offsetBytes, type, bitfield }) => {
      if (bitfield || PADDING.test(name)) return [];
      const at = base + offsetBytes;
      const full = context !== '' && name !== '' ? `${context}_${name}` : context + name;
      const unnamed = isCompound(this.#btf, type) && this.#btf.resolve(type).name === '';
      const inner = unnamed ? this.#offsetsOf(type, at, full) : [];
      return name === '' ? inner : [[full, at] as const, ...inner];
    });
  }
}

/**
 * TypeScript constants of what a BPF object shares with user space: offsets of the members of each named struct, in
 * bytes, and its size, and the values of each enum. Structs and enums are those in keys and values of maps and in
 * global variables, and those that a global variable points to. Padding and bit fields are left out.
 *
 * `struct rx_stats` becomes `RX_STATS`, its members `camelCase`. An enum whose constants begin alike becomes an object,
 * without that beginning; the constants of any other keep their names. `LAYOUT_HASH` changes with any of it, and so
 * shows whether maps that another version has pinned have the same layout.
 *
 * @param btf of an object; libbpf need not have opened it
 * @param source what the heading calls it
 */
export function layoutOf(btf: Btf, source: string): string {
  const all = new Constants(btf);
  for (const section of btf.sections) {
    if (section !== MAPS && !VARIABLES.test(section)) continue;
    for (const { type } of btf.datasec(section)) {
      if (section === MAPS) [...typesOfMap(btf, type).values()].forEach((id) => all.add(id));
      else [type, btf.pointee(type)].forEach((id) => all.add(id));
    }
  }
  if (all.texts.size === 0) throw new UnreadableObjectError(source, 'shares neither structs nor enums in its BTF');
  // By name: compilers differ in the order of types.
  const texts = [...all.texts].sort(([a], [b]) => Number(a > b) - Number(a < b)).map(([, text]) => text);
  const hash = hashOf(texts.join('')).toString(16).padStart(8, '0');
  return [
    `// Made by libbpf-ts from the BTF of ${inComment(source)}; do not edit.\n`,
    ...texts,
    `/** Changes with anything above. */\nexport const LAYOUT_HASH = 0x${hash};\n`,
  ].join('\n');
}
