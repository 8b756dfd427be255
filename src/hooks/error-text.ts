// SPDX-License-Identifier: MIT
/** What to say of an error in a hook: which line of which file, and what. */
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Place } from './source-line';

const ROOT = path.resolve(__dirname, '..', '..');
/** The program itself, compiled or as the source maps say; its examples are hooks as any other. */
const isOurs = (file: string): boolean => /^\/(src|dist)\/(?!examples\/)/.test(file.slice(ROOT.length)) && file.startsWith(ROOT);

/** Bytes of an error's text, and of its stack, that are looked at: a hook may throw anything. */
const TEXT_MAX = 500;
const STACK_MAX = 20_000;

/** `host.ts:12: TypeError: x is not a function`: the innermost line that is not ours. Throws nothing, whatever was thrown. */
export function errorText(error: unknown, file: string): string {
  try {
    if (!(error instanceof Error)) return `${file}: threw ${String(error).slice(0, 200)}`;
    const what = `${error.name}: ${error.message}`.slice(0, TEXT_MAX).split('\n')[0] as string;
    return `${placeOf(String(error.stack ?? '').slice(0, STACK_MAX), file) ?? file}: ${what}`;
  } catch {
    return `${file}: threw something that cannot be shown`;
  }
}

/** The first line of the stack in the hook's file, else the first in any file but the program's own. */
export function placeInStack(stack: string, file: string): Place | undefined {
  const places = [...stack.matchAll(/(?:\(|at )((?:file:\/\/)?\/[^()\n]*?):(\d+):(\d+)\)?$/gm)].map(([, where, line, column]) => ({
    file: plain(where as string),
    line: Number(line),
    column: Number(column),
  }));
  return places.find((place) => place.file === file) ?? places.find((place) => !isOurs(place.file) && !place.file.includes('/node_modules/'));
}

function placeOf(stack: string, file: string): string | undefined {
  const place = placeInStack(stack, file);
  return place && `${place.file}:${place.line}`;
}

/** Modules are named by their URL, with the number of the load behind. */
function plain(where: string): string {
  const name = where.replace(/\?.*$/, '');
  return name.startsWith('file:') ? fileURLToPath(name) : name;
}
