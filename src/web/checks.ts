// SPDX-License-Identifier: MIT
/** What a value in a message has to be. */

export type Fields = Readonly<Record<string, unknown>>;

export const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value.length <= max;
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isTime = (value: unknown): value is number => typeof value === 'number' && value >= 0;
export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
