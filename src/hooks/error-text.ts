// SPDX-License-Identifier: MIT
/** What to say of an error in a hook: which line of which file, and what. */
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(__dirname, '..', '..');
/** The program itself, compiled or as the source maps say; its examples are hooks as any other. */
const isOurs = (file: string): boolean => /^\/(src|dist)\/(?!examples\/)/.test(file.slice(ROOT.length)) && file.startsWith(ROOT);

/** `host.ts:12: TypeError: x is not a function`: the innermost line that is not ours. */
export function errorText(error: unknown, file: string): string {
  if (!(error instanceof Error)) return `${file}: threw ${String(error).slice(0, 200)}`;
  const what = `${error.name}: ${error.message}`.split('\n')[0] as string;
  return `${placeOf(error.stack ?? '', file) ?? file}: ${what}`;
}

/** The first line of the stack in the hook's file, else the first in any file but the program's own. */
function placeOf(stack: string, file: string): string | undefined {
  const places = [...stack.matchAll(/(?:\(|at )((?:file:\/\/)?\/[^()\n]*?):(\d+):\d+\)?$/gm)].map(([, where, line]) => ({
    where: plain(where as string),
    line: line as string,
  }));
  const place = places.find(({ where }) => where === file) ?? places.find(({ where }) => !isOurs(where) && !where.includes('/node_modules/'));
  return place && `${place.where}:${place.line}`;
}

/** Modules are named by their URL, with the number of the load behind. */
function plain(where: string): string {
  const name = where.replace(/\?.*$/, '');
  return name.startsWith('file:') ? fileURLToPath(name) : name;
}
