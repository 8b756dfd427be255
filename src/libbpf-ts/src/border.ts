// SPDX-License-Identifier: MIT
/**
 * Arguments, checked before C sees them. koffi cuts integers to the width of the C type, takes a text as far as its first
 * NUL, and reports others' types as its own TypeErrors.
 */
import { UsageError } from './errors';
import { bounded } from './reasons';

function show(value: unknown): string {
  if (typeof value === 'string') return bounded(JSON.stringify(value), 60);
  if (value === null) return 'null';
  // An object may have no text at all.
  if (typeof value === 'object' || typeof value === 'function') return `a value of type ${typeof value}`;
  return String(value as number | bigint | boolean | undefined | symbol);
}

/** Returns an integer from `least` to `most`; throws UsageError for anything else. */
export function integer(operation: string, name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(operation, `${name} is ${show(value)}, not an integer from ${least} to ${most}`);
}

const MAX_U32 = 0xffff_ffff;
export const MAX_INT = 0x7fff_ffff;

/** An unsigned integer of 32 bits. */
export const uint32 = (operation: string, name: string, value: unknown, least = 0): number =>
  integer(operation, name, value, least, MAX_U32);

/** The index of a device: positive, and an `int` in the kernel. */
export const ifindexOf = (operation: string, value: unknown): number =>
  integer(operation, 'ifindex', value, 1, MAX_INT);

/** A descriptor; the kernel refuses -1 as it refuses any that is not open. */
export const descriptor = (operation: string, value: unknown): number => integer(operation, 'fd', value, -1, MAX_INT);

/** Flags of BPF_MAP_UPDATE_ELEM: 64 bits in the kernel, of which 2^53 are a number. */
export const flags64 = (operation: string, value: unknown): number =>
  integer(operation, 'flags', value, 0, Number.MAX_SAFE_INTEGER);

/** A text for C: not empty, and without NUL, at which C would end it. */
export function text(operation: string, name: string, value: unknown): string {
  if (typeof value !== 'string') throw new UsageError(operation, `${name} is ${show(value)}, not a string`);
  if (value === '') throw new UsageError(operation, `${name} is empty`);
  if (value.includes('\0')) throw new UsageError(operation, `${name} contains a NUL character: ${show(value)}`);
  return value;
}

/** The bytes of an argument. */
export function bytesOf(operation: string, name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new UsageError(operation, `${name} is ${show(value)}, not a Uint8Array`);
}

/** One of a few words. */
export function oneOf<Word extends string>(
  operation: string,
  name: string,
  value: unknown,
  words: readonly Word[],
): Word {
  if (words.includes(value as Word)) return value as Word;
  throw new UsageError(operation, `${name} is ${show(value)}; there are: ${words.join(', ')}`);
}
