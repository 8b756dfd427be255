// SPDX-License-Identifier: MIT
/** The values of `const volatile` variables, as bytes of their C types. */
import { type Btf, BtfKind, type BtfType } from './btf';
import { type CType, ValueError } from './ctypes/ctype';
import * as scalars from './ctypes/scalar';
import { scalarOf } from './ctypes/shape';
import { BpfError } from './errors';

/** Reports a constant that does not fit its variable; code `BPF_CONSTANT`. */
export class ConstantError extends BpfError {
  override readonly name = 'ConstantError';

  constructor(variable: string, why: string) {
    super(`constant ${variable}: ${why}`, { code: 'BPF_CONSTANT', operation: 'set constant' });
  }
}

/** A C integer, enum or bool. */
export type Scalar = number | bigint | boolean;

/** The value of a constant; for an array, its first elements. */
export type ConstantValue = Scalar | readonly Scalar[];

/**
 * Encodes a value in the type of a variable.
 *
 * @param type id of the variable's type in `btf`
 * @throws ConstantError if the type has no such value, or an array has fewer elements
 */
export function encodeConstant(variable: string, btf: Btf, type: number, value: ConstantValue): Uint8Array {
  const resolved = btf.resolve(type);
  if (typeof value !== 'object') return encodeScalar(variable, resolved, value);
  if (resolved.kind !== BtfKind.ARRAY)
    throw new ConstantError(variable, `${value.length} values for what is not an array`);
  if (value.length > resolved.length)
    throw new ConstantError(variable, `${value.length} values for an array of ${resolved.length}`);
  const element = btf.resolve(resolved.element);
  return Buffer.concat(value.map((one, i) => encodeScalar(`${variable}[${i}]`, element, one)));
}

/**
 * Encodes a value as a C integer, enum or bool of a BTF type, in native byte order.
 *
 * @param variable name, for errors
 * @param type resolved type of the variable
 * @throws ConstantError if the type is none of these or the value is out of its range
 */
export function encodeScalar(variable: string, type: BtfType, value: Scalar): Uint8Array {
  const scalar = INTEGERS.has(type.kind) ? scalarOf(type) : undefined;
  if (scalar === undefined) {
    throw new ConstantError(
      variable,
      `only integers, enums, bool and arrays of such can be set, an array from several values; its type is ${kindName(type.kind)}`,
    );
  }
  const converter: CType<unknown> = scalars[scalar];
  try {
    // A byte of 0 or 1.
    if (scalar === 'bool') return oneBit.encode(Number(value));
    const number = typeof value === 'boolean' || type.size <= 4 ? Number(value) : value;
    return converter.encode(number);
  } catch (error) {
    throw error instanceof ValueError ? new ConstantError(variable, error.why) : error;
  }
}

/** What takes 0 and 1. */
const oneBit = scalars.bits(scalars.u8, 0, 1);
const INTEGERS: ReadonlySet<number> = new Set([BtfKind.INT, BtfKind.ENUM, BtfKind.ENUM64]);

function kindName(kind: number): string {
  return (
    Object.entries(BtfKind)
      .find(([, value]) => value === kind)?.[0]
      .toLowerCase() ?? `type of kind ${kind}`
  );
}
