// SPDX-License-Identifier: MIT
import type { Declared } from './command-table';

export { GLOBAL_OPTIONS } from './option-kinds';
export type { Command, Declared } from './command-table';

/** The default as descriptions tell it, `[8M]`; null if they name none. */
export const defaultOf = ({ describe, type, default: value }: Declared): string | null =>
  / \[([^\]]+)\]$/.exec(describe)?.[1] ?? (type !== 'boolean' && typeof value === 'string' ? value : null);

/** The description without the default. */
export const wordsOf = ({ describe }: Declared): string => describe.replace(/ \[[^\]]+\]$/, '');

/** What stands for an option's value: `NAME`, `veth|dummy`, `[SECONDS]` where it may be left out; '' for a flag. */
export function valueName(name: string, { type, choices, requiresArg, value }: Declared): string {
  if (choices) return choices.join('|');
  if (type === 'boolean') return '';
  const shown = value ?? name.toUpperCase();
  return requiresArg ? shown : `[${shown}]`;
}
