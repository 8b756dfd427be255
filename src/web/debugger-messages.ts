// SPDX-License-Identifier: MIT
/** Reads the actions of the debugger that a page sends. */
import { type Fields, isCount, isText } from './checks';
import type { DebuggerAction } from './debugger-protocol';

/** The most frames that are passed or dropped by one action. */
export const COUNT_MAX = 1_000_000;
/** The longest filter, and value of a field, in characters. */
const FILTER_MAX = 4096;
const VALUE_MAX = 256;
/** The longest bytes in hexadecimal: a frame of 24 KiB, with a space between two bytes 16 KiB. */
const HEX_MAX = 48 << 10;

const isNumber = (value: unknown): value is number => isCount(value) && value > 0;

const verdict =
  (kind: 'pass' | 'drop') =>
  ({ frame, count }: Fields): DebuggerAction | null =>
    isNumber(frame) && isNumber(count) && count <= COUNT_MAX ? { kind, frame, count } : null;

/** Each action by its kind: what its fields have to be. */
export const DEBUGGER_ACTIONS: Readonly<Record<DebuggerAction['kind'], (fields: Fields) => DebuggerAction | null>> = {
  pause: ({ filter }) => (isText(filter, FILTER_MAX) ? { kind: 'pause', filter } : null),
  resume: () => ({ kind: 'resume' }),
  'let-go': () => ({ kind: 'let-go' }),
  pass: verdict('pass'),
  drop: verdict('drop'),
  hold: () => ({ kind: 'hold' }),
  edit: ({ frame, field, value }) =>
    isNumber(frame) && isText(field, VALUE_MAX) && isText(value, VALUE_MAX)
      ? { kind: 'edit', frame, field, value }
      : null,
  write: ({ frame, at, bytes }) =>
    isNumber(frame) && isCount(at) && isText(bytes, HEX_MAX) ? { kind: 'write', frame, at, bytes } : null,
  undo: ({ frame }) => (isNumber(frame) ? { kind: 'undo', frame } : null),
  inject: ({ bytes, fix }) =>
    (bytes === null || isText(bytes, HEX_MAX)) && typeof fix === 'boolean' ? { kind: 'inject', bytes, fix } : null,
};

/** Whether an action is one of the debugger. */
export const isDebuggerAction = (action: { kind: string }): action is DebuggerAction =>
  Object.hasOwn(DEBUGGER_ACTIONS, action.kind);
