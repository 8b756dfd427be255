// SPDX-License-Identifier: MIT
import { Btf, BtfKind, type BtfType } from './btf';
import { UnreadableObjectError } from './errors';

/** An interface for each data type in BTF; anonymous types and names that are taken get a number. */
class Declarations {
  readonly text: string[] = [];
  readonly #btf: Btf;
  readonly #names = new Map<number, string>();
  /** Names of TypeScript's own types. */
  readonly #taken = new Set(
    'any bigint boolean never null number object string symbol undefined unknown void Uint8Array'.split(' '),
  );

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** The TypeScript type of a value. */
  typeOf(id: number, context: string): string {
    const type = this.#btf.resolve(id);
    switch (type.kind) {
      case BtfKind.INT:
        // __int128 has no better type than its bytes.
        return type.bool ? 'boolean' : type.size > 8 ? 'Uint8Array' : type.size > 4 ? 'bigint' : 'number';
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return type.size > 4 ? 'bigint' : 'number';
      case BtfKind.FLOAT:
        return 'number';
      case BtfKind.PTR:
        return 'bigint';
      case BtfKind.ARRAY: {
        const element = this.#btf.resolve(type.element);
        if (element.kind === BtfKind.INT && element.size === 1 && !element.bool) return 'Uint8Array';
        return `readonly ${parenthesized(this.typeOf(type.element, context))}[]`;
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return this.#interfaceOf(type.id, context);
      default:
        return 'Uint8Array';
    }
  }

  /** Adds `interface NAME` with fields. */
  add(wanted: string, comment: string, fields: readonly string[]): void {
    this.#write(this.#reserve(wanted), comment, fields);
  }

  #write(name: string, comment: string, fields: readonly string[]): void {
    this.text.push(
      `/** ${comment} */\nexport interface ${name} {\n${fields.map((field) => `  ${field}\n`).join('')}}\n`,
    );
  }

  #interfaceOf(id: number, context: string): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const struct = this.#btf.structOf(id);
    const name = this.#reserve(struct.name === '' ? context : struct.name);
    this.#names.set(id, name);
    const fields = this.#fieldsOf(id, 0, name);
    const kind = this.#btf.kind(id) === BtfKind.UNION ? 'union' : 'struct';
    const title = struct.name === '' ? `An unnamed ${kind}` : `${kind} ${struct.name}`;
    this.#write(name, `${title}, ${struct.size} bytes.`, fields);
    return name;
  }

  /** Members of an unnamed member count as members of the struct itself, as in C. */
  #fieldsOf(id: number, base: number, context: string): string[] {
    return this.#btf.structOf(id).members.flatMap(({ name, offsetBytes, size, type, bitfield }) => {
      const offset = base + offsetBytes;
      if (name === '')
        return isCompound(this.#btf, type) ? this.#fieldsOf(this.#btf.resolve(type).id, offset, context) : [];
      const where = bitfield
        ? `bits ${base * 8 + bitfield.offsetBits} to ${base * 8 + bitfield.offsetBits + bitfield.width - 1}`
        : `offset ${offset}, ${size} bytes`;
      return [`/** ${where} */`, `readonly ${name}: ${this.typeOf(type, `${context}_${name}`)};`];
    });
  }

  #reserve(wanted: string): string {
    return unusedName(wanted.replace(/\W/g, '_'), this.#taken);
  }
}

/** The name, numbered if it is taken; takes it. */
function unusedName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let n = 2; taken.has(name); n++) name = `${wanted}_${n}`;
  taken.add(name);
  return name;
}

function parenthesized(type: string): string {
  return type.startsWith('readonly ') ? `(${type})` : type;
}

function isCompound(btf: Btf, id: number): boolean {
  const { kind } = btf.resolve(id);
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

const MAPS = '.maps';
/** Sections of global variables. */
const VARIABLES = /^\.(data|bss|rodata)(\.|$)/;

/** Type ids of key and value of a map in `.maps`, from the pointers in its definition. */
function typesOfMap(btf: Btf, definition: number): Map<string, number> {
  const types = new Map<string, number>();
  for (const { name, type } of btf.structOf(btf.resolve(definition).id).members) {
    if (name === 'key' || name === 'value') types.set(name, btf.pointee(type));
  }
  return types;
}

/**
 * TypeScript declarations of what a BPF object shares with user space: keys and values of its maps, and its global
 * variables, with the structs that they contain or point to. Comments give the offsets.
 *
 * Integers of up to 32 bits become number, 64-bit integers and pointers bigint, and byte arrays Uint8Array.
 *
 * @param btf BTF of an object that BpfObject.open() has opened
 * @param source the object's name in the heading
 */
export function declarationsOf(btf: Btf, source: string): string {
  const all = new Declarations(btf);
  const maps: string[] = [];
  for (const section of btf.sections) {
    const variables = btf.datasec(section);
    if (section === MAPS) {
      for (const { name, type } of variables) {
        const fields = [...typesOfMap(btf, type)].map(
          ([part, id]) => `readonly ${part}: ${all.typeOf(id, `${name}_${part}`)};`,
        );
        // Ring buffers have neither key nor value.
        if (fields.length > 0) maps.push(`/** map ${name} */`, `readonly ${name}: { ${fields.join(' ')} };`);
      }
    } else if (VARIABLES.test(section)) {
      const fields = variables.flatMap(({ name, offset, size, type }) => {
        // A pointer variable is how C programs make the compiler describe a record that is only written to a ring
        // buffer.
        if (isCompound(btf, btf.pointee(type))) all.typeOf(btf.pointee(type), name);
        return [`/** offset ${offset}, ${size} bytes */`, `readonly ${name}: ${all.typeOf(type, name)};`];
      });
      all.add(section.slice(1), `Global variables in ${section}.`, fields);
    }
  }
  if (maps.length > 0) all.add('Maps', 'Keys and values of the maps.', maps);
  if (all.text.length === 0)
    throw new UnreadableObjectError(source, 'has neither maps nor global variables in its BTF');
  return [`// Made by libbpf-ts from the BTF of ${source}.\n`, ...all.text].join('\n');
}

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

type Entry = readonly [name: string, value: number];

/** Constants for each struct and enum, by its name in C. */
class Constants {
  readonly texts = new Map<string, string>();
  readonly #btf: Btf;
  readonly #seen = new Set<number>();
  readonly #taken = new Set(['LAYOUT_HASH']);

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
    const lines = values.map(([each, value]) => `export const ${unusedName(each, this.#taken)} = ${value};\n`).join('');
    this.texts.set(name || lines, `// enum ${name || 'without a name'}\n${lines}`);
  }

  #write(name: string, comment: string, entries: readonly Entry[]): void {
    const taken = new Set<string>();
    const lines = entries.map(([each, value]) => {
      const key = unusedName(camelCase(each), taken);
      return `  ${/^\d/.test(key) ? `'${key}'` : key}: ${value},\n`;
    });
    this.texts.set(
      name,
      `/** ${comment} */\nexport const ${unusedName(name.toUpperCase(), this.#taken)} = {\n${lines.join('')}} as const;\n`,
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
    `// Made by libbpf-ts from the BTF of ${source}; do not edit.\n`,
    ...texts,
    `/** Changes with anything above. */\nexport const LAYOUT_HASH = 0x${hash};\n`,
  ].join('\n');
}
