// SPDX-License-Identifier: MIT
import { BtfKind } from './btf';
import type { BtfType } from './btf';
import { BpfError } from './errors';
import { littleEndian } from './native/layout';

/** A constant that does not fit the variable it is for; code `BPF_CONSTANT`. */
export class ConstantError extends BpfError {
  override readonly name = 'ConstantError';

  constructor(variable: string, why: string) {
    super(`constant ${variable}: ${why}`, { code: 'BPF_CONSTANT', operation: 'set constant' });
  }
}

/**
 * Encodes a value as a C integer, enum or bool of a BTF type, in native byte order.
 *
 * @param variable name, for errors
 * @param type resolved type of the variable
 * @throws ConstantError if the type is none of these or the value is out of its range
 */
export function encodeConstant(variable: string, type: BtfType, value: number | bigint | boolean): Uint8Array {
  if (type.kind !== BtfKind.INT && type.kind !== BtfKind.ENUM && type.kind !== BtfKind.ENUM64) {
    throw new ConstantError(variable, `only integers, enums and bool can be set, not a ${kindName(type.kind)}`);
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
