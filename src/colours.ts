// SPDX-License-Identifier: MIT
/** Whether what is printed may have colours, by one rule for all commands, and how each kind of text looks. */
import { fstatSync } from 'node:fs';

import { isTerminal } from './native/terminal';
import { showsColours } from './native/terminal-abilities';

/** Parameters of SGR (ECMA-48, 8.3.117). */
export const ATTRIBUTES = { bold: '1', good: '32', warning: '33', bad: '1;31', faint: '2' } as const;

export type Look = keyof typeof ATTRIBUTES;

/** Whether a terminal reads the descriptor and shows colours. */
export function hasColours(fd: number, env: NodeJS.ProcessEnv = process.env): boolean {
  if (!showsColours(env)) return false;
  try {
    return isTerminal(fstatSync(fd));
  } catch {
    return false;
  }
}

/** A printable text as it looks on a descriptor. */
export function coloured(look: Look, text: string, fd: number): string {
  return hasColours(fd) ? `\x1b[${ATTRIBUTES[look]}m${text}\x1b[0m` : text;
}
