// SPDX-License-Identifier: MIT
/**
 * The texts of errors in a hook, or in loading one: file, line, column, the message, and the source line. A repeated
 * error is reported once, then counted.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

import { programEnvironment } from '../native/inherited';
import { readModule } from './lookup';

const ROOT = path.resolve(__dirname, '..', '..');
/** Whether a file belongs to the program, compiled or as source maps name it; its examples count as hooks. */
const isOurs = (file: string): boolean =>
  /^\/(src|dist)\/(?!examples\/)/.test(file.slice(ROOT.length)) && file.startsWith(ROOT);

/** Characters of an error's text, and of its stack, that are read: a hook may throw anything. */
const TEXT_MAX = 500;
const STACK_MAX = 20_000;

/** `host.ts:12: TypeError: x is not a function`, with the innermost line outside the program. Never throws. */
export function errorText(error: unknown, file: string): string {
  try {
    if (!(error instanceof Error)) return `${file}: threw ${String(error).slice(0, 200)}`;
    const what = `${error.name}: ${error.message}`.slice(0, TEXT_MAX).split('\n')[0] as string;
    return `${placeOf(String(error.stack ?? '').slice(0, STACK_MAX), file) ?? file}: ${what}`;
  } catch {
    return `${file}: threw something that cannot be shown`;
  }
}

/** The first line of the stack in the hook's file, else the first outside the program and node_modules. */
export function placeInStack(stack: string, file: string): Place | undefined {
  const places = [...stack.matchAll(/(?:\(|at )((?:file:\/\/)?\/[^()\n]*?):(\d+):(\d+)\)?$/gm)].map(
    ([, where, line, column]) => ({
      file: plain(where as string),
      line: Number(line),
      column: Number(column),
    }),
  );
  return (
    places.find((place) => place.file === file) ??
    places.find((place) => !isOurs(place.file) && !place.file.includes('/node_modules/'))
  );
}

function placeOf(stack: string, file: string): string | undefined {
  const place = placeInStack(stack, file);
  return place && `${place.file}:${place.line}`;
}

/** The path of a module that the stack names by its URL, with the number of the load at the end. */
function plain(where: string): string {
  const name = where.replace(/\?.*$/, '');
  return name.startsWith('file:') ? fileURLToPath(name) : name;
}

// Places in source files, written as compilers write them.

export interface Place {
  file: string;
  /** From 1. */
  line: number;
  column: number;
}

/** Characters of a source line that are shown. */
const LINE_MAX = 120;

/** One line of text: `host.ts:4:18: SyntaxError: ')' expected: const x = (1 2);` */
export function placed({ file, line, column }: Place, what: string, source: string | undefined): string {
  const text = (source ?? '').trim();
  const shown = text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}...` : text;
  return `${file}:${line}:${column}: ${what}${shown === '' ? '' : `: ${shown}`}`;
}

// Hooks that cannot be loaded: file, line, column, what is wrong, and the source line.

/** How long Node may take to find a syntax error, in milliseconds. */
const CHECK_MS = 5000;
const OUTPUT_MAX = 1 << 16;

/** A syntax error as Node shows it: the file and the line, the line's text, and a caret below the place. */
const SHOWN = /^(.+):(\d+)\n(.*)\n( *)\^/;

function shownPlace(text: string): (Place & { source: string }) | null {
  const match = SHOWN.exec(text);
  if (!match) return null;
  const [, where = '', line, source = '', indent = ''] = match;
  const name = where.replace(/\?.*$/, '');
  return {
    file: name.startsWith('file:') ? fileURLToPath(name) : name,
    line: Number(line),
    column: indent.length + 1,
    source,
  };
}

/**
 * The text of a syntax error in an ES module, whose place Node does not pass on to the importer. A second process looks
 * for it once something is wrong; it compiles the module and runs nothing.
 */
function moduleSyntaxError(file: string): string | null {
  let source: string;
  try {
    source = readModule(file);
  } catch {
    return null;
  }
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--check', '-'], {
    input: source,
    cwd: '/',
    env: programEnvironment(),
    timeout: CHECK_MS,
    maxBuffer: OUTPUT_MAX,
    encoding: 'utf8',
  });
  const place = shownPlace(stderr);
  const what = /^\w*Error: .*$/m.exec(stderr)?.[0];
  return place && what !== undefined ? placed({ ...place, file }, what, place.source) : null;
}

function lineOf({ file, line }: Place): string | undefined {
  try {
    return readModule(file).split('\n')[line - 1];
  } catch {
    return undefined;
  }
}

/** The text of a failed import, with its line: Node names only the importing file. */
function missingImport(what: string, message: string): string | null {
  const [, missing = '', importer = ''] =
    /^Cannot find (?:module|package) '(.*)' imported from (.*)$/m.exec(message) ?? [];
  if (importer === '') return null;
  const name = path.basename(missing);
  const lines = readModule(importer).split('\n');
  const line = lines.findIndex((text) => /\b(?:from|import)\b/.test(text) && text.includes(name));
  if (line < 0) return null;
  const text = lines[line] as string;
  const column = text.slice(0, text.indexOf(name)).search(/['"`][^'"`]*$/) + 1;
  return placed(
    { file: importer, line: line + 1, column: Math.max(1, column) },
    what.replace(/ imported from .*/, ''),
    text,
  );
}

/** The text of an error while loading; `modules` are the ES modules loaded for the hook. Never throws. */
export function loadErrorText(error: unknown, file: string, modules: readonly string[]): string {
  try {
    if (!(error instanceof Error)) return errorText(error, file);
    if (error.name === 'CompileError') return error.message;
    const what = `${error.name}: ${error.message.split('\n')[0]}`.slice(0, 500);
    const stack = String(error.stack ?? '').slice(0, 20_000);
    const shown = shownPlace(stack);
    if (shown) return placed(shown, what, shown.source);
    if (error.name === 'SyntaxError') {
      for (const each of modules) {
        const found = moduleSyntaxError(each);
        if (found !== null) return found;
      }
    }
    const missing = missingImport(what, error.message);
    if (missing !== null) return missing;
    const place = placeInStack(stack, file);
    return place && fs.existsSync(place.file) ? placed(place, what, lineOf(place)) : errorText(error, file);
  } catch {
    return errorText(error, file);
  }
}

// Errors of a running hook: reported at once, then added up, because each frame may cause one.

/** How long errors are added up, in milliseconds. */
const INTERVAL_MS = 2500;
/** Different texts that are counted separately within one interval. */
const TEXTS_MAX = 8;

export class Reports {
  private readonly waiting = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly write: (text: string) => void) {}

  add(text: string): void {
    if (this.timer === undefined) {
      this.write(text);
      this.timer = setTimeout(() => this.flush(), INTERVAL_MS);
      this.timer.unref();
      return;
    }
    const key = this.waiting.has(text) || this.waiting.size < TEXTS_MAX ? text : 'hook errors of other kinds';
    this.waiting.set(key, (this.waiting.get(key) ?? 0) + 1);
  }

  /** Reports what has been added up. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [text, times] of this.waiting) this.write(times > 1 ? `${text}, ${times} times` : text);
    this.waiting.clear();
  }
}
