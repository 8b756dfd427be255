// SPDX-License-Identifier: MIT
import type { Btf } from '../btf';
import { titleOf } from '../ctypes/from-btf';
import { identifier, inComment, Names, property, quoted } from '../ctypes/names';
import type { CompoundShape, EnumShape, FieldShape, Shape } from '../ctypes/shape';
import { contentsOf } from './contents';
import { literal } from './layout';

/**
 * The text of an interface for each struct, union and enum; with `codecs` also of a constant of the same name that
 * converts its values. Unnamed types and names that are taken get a name.
 */
export class Declarations {
  readonly text: string[] = [];
  readonly #names: Names;
  readonly #codecs: boolean;
  /** Names of compounds and enums, by their type id. */
  readonly #known = new Map<number, string>();

  /** @param taken names that the text around the declarations uses */
  constructor({ codecs = false, taken = [] }: { codecs?: boolean; taken?: readonly string[] } = {}) {
    this.#names = Names.ofModule(taken);
    this.#codecs = codecs;
  }

  /** The TypeScript type of a value; `context` names it if it has no name. */
  typeOf(shape: Shape, context: string): string {
    switch (shape.kind) {
      case 'scalar':
        return scalarType(shape.scalar, shape.size);
      case 'bytes':
        return 'Uint8Array';
      case 'flexible':
        return shape.element ? arrayOf(this.typeOf(shape.element, context)) : 'Uint8Array';
      case 'array':
        return arrayOf(this.typeOf(shape.element, context));
      case 'enum':
        return this.#known.get(shape.id) ?? this.#addEnum(shape, context);
      case 'struct':
      case 'union':
      case 'section':
        return this.#known.get(shape.id) ?? this.#addCompound(shape, context);
    }
  }

  /** The expression for the converter of a value. */
  codecOf(shape: Shape, context: string): string {
    switch (shape.kind) {
      case 'scalar':
      case 'enum':
        return `c.${shape.scalar}`;
      case 'bytes':
        return `c.bytes(${shape.size})`;
      case 'flexible':
        return shape.element ? `c.flexible(${this.codecOf(shape.element, context)})` : 'c.rawBytes';
      case 'array':
        return `c.array(${this.codecOf(shape.element, context)}, ${shape.length})`;
      case 'struct':
      case 'union':
      case 'section':
        return this.typeOf(shape, context);
    }
  }

  /** Adds the variables of a section, which can be set where there are converters, and returns the interface's name. */
  addSection(shape: CompoundShape): string {
    const name = this.#names.take(identifier(shape.name.slice(1)));
    const lines = shape.fields.flatMap((field) => {
      const [type, key] = [this.typeOf(field.shape, field.name), property(field.name)];
      if (!this.#codecs) return [commentOf(field), `readonly ${key}: ${type};`];
      return [commentOf(field), `get ${key}(): ${type};`, `set ${key}(value: Input<${type}>);`];
    });
    this.add(name, `Global variables in ${shape.name}.`, lines);
    if (this.#codecs) this.#addCodec(name, shape);
    return name;
  }

  /** Adds an interface under a name that is taken already. */
  add(name: string, comment: string, lines: readonly string[]): void {
    this.text.push(
      `/** ${inComment(comment)} */\nexport interface ${name} {\n${lines.map((line) => `  ${line}\n`).join('')}}\n`,
    );
  }

  /** A name that nothing in the module has. */
  take(wanted: string): string {
    return this.#names.take(identifier(wanted));
  }

  #addEnum(shape: EnumShape, context: string): string {
    const name = this.take(shape.name || context);
    this.#known.set(shape.id, name);
    const lines = Object.entries(shape.values).map(
      ([key, value]) => `  ${property(key)}: ${literal(shape.size > 4 ? BigInt(value) : value)},\n`,
    );
    const title = shape.name === '' ? 'An unnamed enum' : `enum ${shape.name}`;
    this.text.push(
      `/** ${inComment(title)}, ${shape.size} bytes. */\nexport type ${name} = ${scalarType(shape.scalar, shape.size)};\n` +
        `export const ${name} = {\n${lines.join('')}} as const;\n`,
    );
    return name;
  }

  #addCompound(shape: CompoundShape, context: string): string {
    const name = this.take(shape.name || context);
    this.#known.set(shape.id, name);
    const lines = shape.fields.flatMap((field) => [
      commentOf(field),
      `readonly ${property(field.name)}: ${this.typeOf(field.shape, `${name}_${field.name}`)};`,
    ]);
    const title = shape.name === '' ? `An unnamed ${shape.kind}` : `${shape.kind} ${shape.name}`;
    this.add(name, `${title}, ${shape.size} bytes.`, lines);
    if (this.#codecs) this.#addCodec(name, shape);
    return name;
  }

  /** Adds the converter to the declaration that was added last. */
  #addCodec(name: string, shape: CompoundShape): void {
    const lines = shape.fields.map((field) => {
      const type = this.codecOf(field.shape, `${name}_${field.name}`);
      const bits = field.bits ? `c.bits(${type}, ${field.bits.first}, ${field.bits.width})` : type;
      return `  [${quoted(field.name)}, ${field.offset}, ${bits}],\n`;
    });
    const fields = lines.length === 0 ? '[]' : `[\n${lines.join('')}]`;
    this.text.push(
      `${this.text.pop()}export const ${name}: CType<${name}> = c.struct(${quoted(titleOf(shape))}, ${shape.size}, ${fields});\n`,
    );
  }
}

function scalarType(scalar: string, size: number): string {
  if (scalar === 'bool') return 'boolean';
  return size <= 4 || scalar === 'f64' ? 'number' : 'bigint';
}

const arrayOf = (element: string): string => `readonly ${element.startsWith('readonly ') ? `(${element})` : element}[]`;

function commentOf({ offset, shape, bits }: FieldShape): string {
  if (!bits) return `/** offset ${offset}, ${shape.kind === 'flexible' ? 'flexible' : `${shape.size} bytes`} */`;
  const first = offset * 8 + bits.first;
  return `/** bits ${first} to ${first + bits.width - 1} */`;
}

/**
 * TypeScript declarations of what a BPF object shares with user space: keys and values of its maps, and its global
 * variables, with the structs and enums that they contain or point to. Comments give the offsets.
 *
 * Integers of up to 32 bits become number, larger ones and pointers bigint, and byte arrays Uint8Array.
 *
 * @param btf BTF of an object that BpfObject.open() has opened
 * @param source the object's name in the heading
 */
export function declarationsOf(btf: Btf, source: string): string {
  const all = new Declarations();
  const { maps, sections } = contentsOf(btf);
  const lines = maps.flatMap(({ name, key, value }) => {
    const parts = Object.entries({ key, value }).flatMap(([part, shape]) =>
      shape ? [`readonly ${part}: ${all.typeOf(shape, `${name}_${part}`)};`] : [],
    );
    // A ring buffer may have neither key nor value.
    return parts.length > 0
      ? [`/** map ${inComment(name)} */`, `readonly ${property(name)}: { ${parts.join(' ')} };`]
      : [];
  });
  for (const { variables, pointees } of sections) {
    for (const [name, shape] of pointees) all.typeOf(shape, name);
    if (variables.fields.length > 0) all.addSection(variables);
  }
  if (lines.length > 0) all.add(all.take('Maps'), 'Keys and values of the maps.', lines);
  const text = all.text.length > 0 ? all.text : ['export {};\n'];
  return [`// Made by libbpf-ts from the BTF of ${inComment(source)}.\n`, ...text].join('\n');
}
