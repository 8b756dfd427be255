// SPDX-License-Identifier: MIT
/** What a frame is expected to be: some of its fields, or what a function decides. */
import type { Frame } from '../packet/frame';

/** The expected value of a field: the value itself, a pattern for text, bytes, or a function that accepts it. */
export type Expected<T> = T | (T extends string ? RegExp : never) | ((value: T) => boolean);

type Fields<T> = {
  [K in keyof T]?: T[K] extends string | number | boolean | Uint8Array | null
    ? Expected<T[K]>
    : Fields<NonNullable<T[K]>> | null;
};

/**
 * `{ ipv4: { source: '10.0.0.1' }, udp: { destinationPort: 53 } }`, null for a header that must be absent, or a
 * function.
 */
export type FrameMatcher = Fields<Omit<Frame, 'copy'>> | ((frame: Frame) => boolean);

/** The differences, one line per field; empty if the frame fits. */
export function differences(matcher: FrameMatcher, frame: Frame): string[] {
  if (typeof matcher === 'function') return matcher(frame) ? [] : ['the function says no'];
  return compare(matcher as Record<string, unknown>, frame as unknown as Record<string, unknown>, '');
}

function compare(expected: Record<string, unknown>, actual: Record<string, unknown>, path: string): string[] {
  return Object.entries(expected).flatMap(([key, wanted]) => {
    const name = path === '' ? key : `${path}.${key}`;
    const found = actual[key];
    if (
      typeof wanted === 'object' &&
      wanted !== null &&
      !(wanted instanceof RegExp) &&
      !(wanted instanceof Uint8Array)
    ) {
      if (typeof found !== 'object' || found === null) return [`${name}: wanted, but there is none`];
      return compare(wanted as Record<string, unknown>, found as Record<string, unknown>, name);
    }
    return fits(wanted, found) ? [] : [`${name}: wanted ${show(wanted)}, found ${show(found)}`];
  });
}

function fits(wanted: unknown, found: unknown): boolean {
  if (typeof wanted === 'function') return (wanted as (value: unknown) => boolean)(found);
  if (wanted instanceof RegExp) return typeof found === 'string' && wanted.test(found);
  if (wanted instanceof Uint8Array) return found instanceof Uint8Array && Buffer.compare(wanted, found) === 0;
  return wanted === found;
}

function show(value: unknown): string {
  if (value instanceof Uint8Array)
    return `${value.length} bytes ${Buffer.from(value.subarray(0, 24)).toString('hex')}${value.length > 24 ? '...' : ''}`;
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'function') return 'what a function likes';
  return typeof value === 'object' && !(value instanceof RegExp)
    ? 'a header'
    : typeof value === 'string'
      ? JSON.stringify(value)
      : String(value as number);
}
