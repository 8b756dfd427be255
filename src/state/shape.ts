// SPDX-License-Identifier: MIT
/** Checks that a parsed JSON value has the type that the code relies on. Each check returns the value, or throws a ShapeError. */

/** What is wrong, and where: `netns.inode is not a whole number`. */
export class ShapeError extends Error {}

export type Check<T> = (value: unknown, at: string) => T;

/** A check for each field of an interface: a field that is added to the interface and not here does not compile. */
export type Fields<T> = { readonly [Name in keyof T]-?: Check<T[Name]> };

const wrong = (at: string, why: string): never => {
  throw new ShapeError(`${at} ${why}`);
};

/** A whole number between bounds, which JSON has kept exactly. */
export const integer = (min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> => (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : wrong(at, `is not a whole number from ${min} to ${max}`);

export const boolean: Check<boolean> = (value, at) => (typeof value === 'boolean' ? value : wrong(at, 'is not true or false'));

/** Text that `holds` accepts; `what` says what that is. */
export const text = (what: string, holds: (value: string) => boolean): Check<string> => (value, at) =>
  typeof value === 'string' && holds(value) ? value : wrong(at, `is not ${what}`);

export const oneOf = <T extends string | number>(...choices: readonly T[]): Check<T> => (value, at) =>
  choices.find((choice) => choice === value) ?? wrong(at, `is not one of ${choices.join(', ')}`);

export const nullable = <T>(check: Check<T>): Check<T | null> => (value, at) => (value === null ? null : check(value, at));

/** What older versions did not write counts as null. */
export const nullIfMissing = <T>(check: Check<T>): Check<T | null> => (value, at) => (value === undefined || value === null ? null : check(value, at));

export const listOf = <T>(check: Check<T>): Check<T[]> => (value, at) =>
  Array.isArray(value) ? value.map((each: unknown, i) => check(each, `${at}[${i}]`)) : wrong(at, 'is not a list');

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object with these fields; what else it has is left out. */
export const object = <T>(fields: Fields<T>): Check<T> => (value, at) => {
  if (!isObject(value)) return wrong(at, 'is not an object');
  const entries = Object.entries<Check<unknown>>(fields).map(([name, check]) => [name, check(own(value, name), at === '' ? name : `${at}.${name}`)] as const);
  return Object.fromEntries(entries) as T;
};

/** The fields that pass their checks. */
export function partial<T>(fields: Fields<T>, value: unknown): Partial<T> {
  if (!isObject(value)) return {};
  const entries = Object.entries<Check<unknown>>(fields).flatMap(([name, check]) => {
    try {
      return [[name, check(own(value, name), name)] as const];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(entries) as Partial<T>;
}

/** Not what an object inherits: `constructor` is no field of a file. */
const own = (value: Record<string, unknown>, name: string): unknown => (Object.hasOwn(value, name) ? value[name] : undefined);
