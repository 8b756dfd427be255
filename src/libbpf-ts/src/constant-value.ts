// SPDX-License-Identifier: MIT
import { BtfKind } from './btf';
import type { Btf, BtfType } from './btf';
import { BpfError } from './errors';
import { littleEndian } from './native/layout';

/** A constant that does not fit the variable it is for; code `BPF_CONSTANT`. */
export class ConstantError extends BpfError {
  override readonly name = 'ConstantError';

  constructor(variable: string, why: string) {
    super(`constant ${variable}: ${why}`, { code: 'BPF_CONSTANT', operation: 'set constant' });
  }
}

/** A C integer, enum or bool. */
export type Scalar = number | bigint | boolean;

/** What a constant can be set to: of an array, its first elements. */
export type ConstantValue = Scalar | readonly Scalar[];

/**
 * Encodes a value as the variable's type wants it.
 *
 * @param type id of the variable's type in `btf`
 * @throws ConstantError if the type takes no such value, or an array has fewer elements
 */
export function encodeConstant(variable: string, btf: Btf, type: number, value: ConstantValue): Uint8Array {
  const resolved = btf.resolve(type);
  if (typeof value !== 'object') return encodeScalar(variable, resolved, value);
  if (resolved.kind !== BtfKind.ARRAY) throw new ConstantError(variable, `${value.length} values for what is not an array`);
  if (value.length > resolved.length) throw new ConstantError(variable, `${value.length} values for an array of ${resolved.length}`);
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
  if (type.kind !== BtfKind.INT && type.kind !== BtfKind.ENUM && type.kind !== BtfKind.ENUM64) {
    throw new ConstantError(variable, `only integers, enums, bool and arrays of such can be set, an array from several values; its type is ${kindName(type.kind)}`);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new ConstantError(variable, `${value} is not a safe integer`);
  }
  const wide = BigInt(value);
  const bits = BigInt(type.size * 8);
  const minimum = type.signed ? -(1n << (bits - 1n)) : 0n;
  const maximum = type.bool ? 1n : type.signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  if (wide < minimum || wide > maximum) {
    throw new ConstantError(variable, `${value} is out of range: ${minimum} to ${maximum}`);
  }
  const bytes = new Uint8Array(type.size);
  let rest = BigInt.asUintN(Number(bits), wide);
  for (let i = 0; i < type.size; i++, rest >>= 8n) {
    bytes[littleEndian ? i : type.size - 1 - i] = Number(rest & 0xffn);
  }
  return bytes;
}

function kindName(kind: number): string {
  return Object.entries(BtfKind).find(([, value]) => value === kind)?.[0].toLowerCase() ?? `type of kind ${kind}`;
}
