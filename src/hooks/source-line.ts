// SPDX-License-Identifier: MIT
/** Places in source files, as compilers write them. */

export interface Place {
  file: string;
  /** From 1. */
  line: number;
  column: number;
}

/** Of a source line, what is shown. */
const LINE_MAX = 120;

/** `host.ts:4:18: SyntaxError: ')' expected: const x = (1 2);` in one line. */
export function placed({ file, line, column }: Place, what: string, source: string | undefined): string {
  const text = (source ?? '').trim();
  const shown = text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}...` : text;
  return `${file}:${line}:${column}: ${what}${shown === '' ? '' : `: ${shown}`}`;
}
