// SPDX-License-Identifier: MIT
/** Whether what is printed may have colours, by one rule for all commands, and how each kind of text looks. */
import { fstatSync } from 'node:fs';

import { isTerminal } from './native/terminal';

/** Parameters of SGR (ECMA-48, 8.3.117). */
const ATTRIBUTES = { bold: '1', good: '32', warning: '33', bad: '1;31', faint: '2' } as const;

export type Look = keyof typeof ATTRIBUTES;

/**
 * Whether a terminal reads the descriptor and takes colours. NO_COLOR (no-color.org) turns them off, whatever its value,
 * unless it is empty; a terminal whose TERM is `dumb` or missing has none.
 */
export function hasColours(fd: number, env: NodeJS.ProcessEnv = process.env): boolean {
  if ((env['NO_COLOR'] ?? '') !== '' || ['', 'dumb'].includes(env['TERM'] ?? '')) return false;
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
