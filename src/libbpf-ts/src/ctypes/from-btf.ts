// SPDX-License-Identifier: MIT
import { Btf, BtfKind } from '../btf';
import { UnknownNameError } from '../errors';
import { array, bytes, flexible, rawBytes, struct } from './compound';
import type { CType } from './ctype';
import * as scalars from './scalar';
import { type CompoundShape, type Shape, Shapes } from './shape';

/** Converters of the types of an object, made from its BTF when it runs. `libbpf-ts generate` writes the same as code. */
export class BtfTypes {
  readonly #btf: Btf;
  readonly #shapes: Shapes;
  readonly #made = new Map<Shape, CType<unknown>>();

  constructor(btf: Btf) {
    this.#btf = btf;
    this.#shapes = new Shapes(btf);
  }

  /**
   * The converter of a type.
   *
   * @param type its name, without `struct`, or its id in BTF
   * @throws UnknownNameError
   */
  type(type: string | number): CType<unknown> {
    return this.#of(this.#shapes.of(typeof type === 'number' ? type : this.#find(type)));
  }

  #find(name: string): number {
    const id = this.#btf.find(name).find((each) => !NO_DATA.has(this.#btf.kind(each)));
    if (id === undefined) throw new UnknownNameError('type', name, []);
    return id;
  }

  #of(shape: Shape): CType<unknown> {
    const known = this.#made.get(shape);
    if (known) return known;
    const made = this.#make(shape);
    this.#made.set(shape, made);
    return made;
  }

  #make(shape: Shape): CType<unknown> {
    switch (shape.kind) {
      case 'scalar':
      case 'enum':
        return scalars[shape.scalar];
      case 'bytes':
        return bytes(shape.size);
      case 'array':
        return array(this.#of(shape.element), shape.length);
      case 'flexible':
        return shape.element ? flexible(this.#of(shape.element)) : rawBytes;
      case 'struct':
      case 'union':
      case 'section':
        return struct(titleOf(shape), shape.size, this.#fieldsOf(shape));
    }
  }

  #fieldsOf({ fields }: CompoundShape): [string, number, CType<unknown>][] {
    return fields.map(({ name, offset, shape, bits }) => {
      const type = this.#of(shape);
      return [name, offset, bits ? scalars.bits(type, bits.first, bits.width) : type];
    });
  }
}

/** Kinds that may have the name of a type and are none. */
const NO_DATA: ReadonlySet<number> = new Set([
  BtfKind.FUNC,
  BtfKind.FUNC_PROTO,
  BtfKind.VAR,
  BtfKind.DATASEC,
  BtfKind.FWD,
  BtfKind.DECL_TAG,
  BtfKind.TYPE_TAG,
]);

/** What C calls a type, for messages. */
export function titleOf({ kind, name }: CompoundShape): string {
  if (kind === 'section') return name;
  return name === '' ? `unnamed ${kind}` : `${kind} ${name}`;
}
