// SPDX-License-Identifier: MIT
import { Btf, BtfKind } from './btf';
import { UnreadableObjectError } from './errors';

/** An interface for each data type in BTF; anonymous types and names that are taken get a number. */
class Declarations {
  readonly text: string[] = [];
  readonly #btf: Btf;
  readonly #names = new Map<number, string>();
  /** Names of TypeScript's own types. */
  readonly #taken = new Set('any bigint boolean never null number object string symbol undefined unknown void Uint8Array'.split(' '));

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
    this.text.push(`/** ${comment} */\nexport interface ${name} {\n${fields.map((field) => `  ${field}\n`).join('')}}\n`);
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
      if (name === '') return isCompound(this.#btf, type) ? this.#fieldsOf(this.#btf.resolve(type).id, offset, context) : [];
      const where = bitfield ? `bits ${base * 8 + bitfield.offsetBits} to ${base * 8 + bitfield.offsetBits + bitfield.width - 1}` : `offset ${offset}, ${size} bytes`;
      return [`/** ${where} */`, `readonly ${name}: ${this.typeOf(type, `${context}_${name}`)};`];
    });
  }

  #reserve(wanted: string): string {
    const plain = wanted.replace(/\W/g, '_');
    let name = plain;
    for (let n = 2; this.#taken.has(name); n++) name = `${plain}_${n}`;
    this.#taken.add(name);
    return name;
  }
}

function parenthesized(type: string): string {
  return type.startsWith('readonly ') ? `(${type})` : type;
}

function isCompound(btf: Btf, id: number): boolean {
  const { kind } = btf.resolve(id);
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

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
    if (section === '.maps') {
      for (const { name, type } of variables) {
        const fields = [...typesOfMap(btf, type)].map(([part, id]) => `readonly ${part}: ${all.typeOf(id, `${name}_${part}`)};`);
        // Ring buffers have neither key nor value.
        if (fields.length > 0) maps.push(`/** map ${name} */`, `readonly ${name}: { ${fields.join(' ')} };`);
      }
    } else if (/^\.(data|bss|rodata)(\.|$)/.test(section)) {
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
  if (all.text.length === 0) throw new UnreadableObjectError(source, 'has neither maps nor global variables in its BTF');
  return [`// Made by libbpf-ts from the BTF of ${source}.\n`, ...all.text].join('\n');
}
