// SPDX-License-Identifier: MIT
/** What an object shares with user space: maps and global variables, from its BTF. */
import { type Btf, BtfKind } from '../btf';
import { type CompoundShape, type Shape, Shapes } from '../ctypes/shape';
import { UnknownNameError } from '../errors';

export const MAPS = '.maps';
/** Sections of global variables. */
export const VARIABLES = /^\.(data|bss|rodata|kconfig)(\.|$)/;

/** Type ids of key and value of a map in `.maps`, from the pointers in its definition. */
export function typesOfMap(btf: Btf, definition: number): Map<string, number> {
  const types = new Map<string, number>();
  for (const { name, type } of btf.structOf(btf.resolve(definition).id).members) {
    const id = btf.pointee(type);
    if ((name === 'key' || name === 'value') && id !== 0) types.set(name, id);
  }
  return types;
}

/** Whether a type is a struct or union. */
export function isCompound(btf: Btf, id: number): boolean {
  const { kind } = btf.resolve(id);
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

export interface MapContents {
  readonly name: string;
  /** MapType, or 0 if the definition does not say. */
  readonly type: number;
  readonly key?: Shape;
  /** The value; of a ring buffer, its record. */
  readonly value?: Shape;
}

export interface SectionContents {
  /** Such as `.bss`. */
  readonly name: string;
  readonly variables: CompoundShape;
  /**
   * Structs that variables point to, by the names of these. That is how C programs make the compiler describe a struct
   * that is in neither a map nor a variable, such as the record of a ring buffer.
   */
  readonly pointees: ReadonlyMap<string, Shape>;
}

export interface Contents {
  readonly maps: readonly MapContents[];
  readonly sections: readonly SectionContents[];
}

/** A tag that names the record of a ring buffer: `__attribute__((btf_decl_tag("record:event")))`. */
const RECORD_TAG = 'record:';

/** @param btf of an object that BpfObject.open() has opened, because libbpf fills in the offsets of variables */
export function contentsOf(btf: Btf): Contents {
  const shapes = new Shapes(btf);
  const maps: MapContents[] = [];
  const sections: SectionContents[] = [];
  for (const section of btf.sections) {
    if (section === MAPS) {
      const seen = new Set<string>();
      for (const { name, type } of btf.datasec(section)) {
        if (seen.has(name)) continue;
        seen.add(name);
        maps.push(mapOf(shapes, name, type));
      }
    } else if (VARIABLES.test(section)) {
      const variables = shapes.section(section);
      const pointees = new Map<string, Shape>();
      for (const { name, type } of btf.datasec(section)) {
        if (isCompound(btf, btf.pointee(type))) pointees.set(name, shapes.of(btf.pointee(type)));
      }
      if (variables.fields.length > 0 || pointees.size > 0) sections.push({ name: section, variables, pointees });
    }
  }
  return { maps, sections };
}

function mapOf(shapes: Shapes, name: string, variable: number): MapContents {
  const { btf } = shapes;
  const definition = btf.structOf(btf.resolve(variable).id).members;
  // `__uint(type, N)` is a pointer to an array of N.
  const of = definition.find((member) => member.name === 'type');
  const type = of ? btf.resolve(btf.pointee(of.type)).length : 0;
  const types = typesOfMap(btf, variable);
  const [key, value] = [types.get('key'), types.get('value') ?? recordOf(btf, variable)];
  return {
    name,
    type,
    ...(key !== undefined && { key: shapes.of(key) }),
    ...(value !== undefined && { value: shapes.of(value) }),
  };
}

/** The type that a tag of a map names. */
function recordOf(btf: Btf, variable: number): number | undefined {
  const tag = btf.tagsOf(variable).find((each) => each.startsWith(RECORD_TAG));
  if (tag === undefined) return undefined;
  const name = tag
    .slice(RECORD_TAG.length)
    .trim()
    .replace(/^(struct|union)\s+/, '');
  const id = btf.find(name).find((each) => isCompound(btf, each));
  if (id !== undefined) return id;
  throw new UnknownNameError('struct', name, []);
}
