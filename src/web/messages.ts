// SPDX-License-Identifier: MIT
/** Reads what a page sends: nothing but the messages of protocol.ts, within their limits, is let in. */
import { type Fields, isCount, isObject, isText, isTime } from './checks';
import { DEBUGGER_ACTIONS } from './debugger-messages';
import type { Action, FromPage, Setting } from './protocol';

/** The longest message in bytes; rules are longer than anything else. */
export const MESSAGE_BYTES_MAX = 64 << 10;
/** The longest filter and the longest name, in characters. */
const FILTER_MAX = 4096;
const NAME_MAX = 256;

const isName = (value: unknown): value is string => isText(value, NAME_MAX);

/** Each setting by its kind: what its fields have to be. Ranges are checked by the controller, as for the commands. */
const SETTINGS: { readonly [K in Setting['kind']]: (fields: Fields) => Extract<Setting, { kind: K }> | null } = {
  faults: ({ rules, seed }) =>
    isText(rules, MESSAGE_BYTES_MAX) && (seed === null || isCount(seed)) ? { kind: 'faults', rules, seed } : null,
  'clear-faults': () => ({ kind: 'clear-faults' }),
  impair: ({ words }) => (isText(words, NAME_MAX) ? { kind: 'impair', words } : null),
  carrier: ({ state, forMs }) =>
    (state === 'up' || state === 'down') && (forMs === null || isTime(forMs))
      ? { kind: 'carrier', state, forMs }
      : null,
  cut: ({ ms }) => (isTime(ms) ? { kind: 'cut', ms } : null),
};

const ACTIONS: Readonly<Record<Action['kind'], (fields: Fields) => Action | null>> = {
  ...SETTINGS,
  ...DEBUGGER_ACTIONS,
};

function actionOf(value: unknown): Action | null {
  if (!isObject(value) || typeof value['kind'] !== 'string' || !Object.hasOwn(ACTIONS, value['kind'])) return null;
  return ACTIONS[value['kind'] as Action['kind']](value);
}

function framesOf(value: unknown): { filter: string } | null | undefined {
  if (value === null) return null;
  return isObject(value) && isText(value['filter'], FILTER_MAX) ? { filter: value['filter'] } : undefined;
}

/** The message in a text; null if no page sends it. */
export function messageOf(text: string): FromPage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value)) return null;
  const name = value['interface'];
  if (value['type'] === 'watch') {
    const frames = framesOf(value['frames']);
    return (name === null || isName(name)) && frames !== undefined ? { type: 'watch', interface: name, frames } : null;
  }
  if (value['type'] !== 'do') return null;
  const { id } = value;
  const action = actionOf(value['action']);
  return isName(name) && isCount(id) && action ? { type: 'do', id, interface: name, action } : null;
}
