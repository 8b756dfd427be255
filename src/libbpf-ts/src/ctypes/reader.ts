// SPDX-License-Identifier: MIT
import type { CType } from './ctype';

/** A field, as far as reading it goes. */
export interface ReadField {
  readonly name: string;
  readonly offset: number;
  readonly type: CType<unknown>;
  /** Whether its memory goes on to the end of the struct's, and not only as far as its size. */
  readonly open: boolean;
}

export type Reader = (memory: DataView, at: number, end: number) => Record<string, unknown>;

/** Reads fields one by one. */
export function plainReader(fields: readonly ReadField[]): Reader {
  // Copied for each value, so that all values of the type have their properties in one order.
  const blank: Record<string, unknown> = Object.fromEntries(fields.map(({ name }) => [name, undefined]));
  return (memory, at, end) => {
    const value = { ...blank };
    for (const { name, offset, type, open } of fields)
      value[name] = type.read(memory, at + offset, open ? end : at + offset + type.size);
    return value;
  };
}

/**
 * A function with an object literal, which V8 runs ten times as fast as a loop over fields: 2 ns instead of 30 a field.
 * It contains names as string literals and offsets, nothing else that comes from the outside.
 *
 * @returns undefined where code from strings is not allowed (--disallow-code-generation-from-strings)
 */
export function compiledReader(fields: readonly ReadField[]): Reader | undefined {
  const lines = fields.map(
    ({ name, offset, type, open }, i) =>
      `[${JSON.stringify(name)}]: t${i}.read(memory, at + ${Number(offset)}, ${open ? 'end' : `at + ${offset + type.size}`})`,
  );
  const parameters = fields.map((_, i) => `t${i}`);
  try {
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above
    const make = new Function(...parameters, `return (memory, at, end) => ({ ${lines.join(', ')} })`) as (
      ...types: CType<unknown>[]
    ) => Reader;
    return make(...fields.map(({ type }) => type));
  } catch (error) {
    if (error instanceof EvalError) return undefined;
    throw error;
  }
}
