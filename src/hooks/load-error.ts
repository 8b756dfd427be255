// SPDX-License-Identifier: MIT
/** What to say of a hook that cannot be loaded: file, line, column, what is wrong, and the source line. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

import { programEnvironment } from '../native/environment';
import { errorText, placeInStack } from './error-text';
import { readModule } from './lookup';
import { placed, type Place } from './source-line';

/** How long Node may take to look for an error. */
const CHECK_MS = 5000;
const OUTPUT_MAX = 1 << 16;

/** As Node shows a syntax error: the file and the line, the line's text, and a caret below the place. */
const SHOWN = /^(.+):(\d+)\n(.*)\n( *)\^/;

function shownPlace(text: string): (Place & { source: string }) | null {
  const match = SHOWN.exec(text);
  if (!match) return null;
  const [, where = '', line, source = '', indent = ''] = match;
  const name = where.replace(/\?.*$/, '');
  return { file: name.startsWith('file:') ? fileURLToPath(name) : name, line: Number(line), column: indent.length + 1, source };
}

/**
 * Where Node finds a syntax error in an ES module: it tells nobody who imports one. Another process looks, once something
 * is wrong; it compiles and runs nothing.
 */
function moduleSyntaxError(file: string): string | null {
  let source: string;
  try {
    source = readModule(file);
  } catch {
    return null;
  }
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--check', '-'], { input: source, cwd: '/', env: programEnvironment(), timeout: CHECK_MS, maxBuffer: OUTPUT_MAX, encoding: 'utf8' });
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

/** Node names the file that imports what is not there, and no line. */
function missingImport(what: string, message: string): string | null {
  const [, missing = '', importer = ''] = /^Cannot find (?:module|package) '(.*)' imported from (.*)$/m.exec(message) ?? [];
  if (importer === '') return null;
  const name = path.basename(missing);
  const lines = readModule(importer).split('\n');
  const line = lines.findIndex((text) => /\b(?:from|import)\b/.test(text) && text.includes(name));
  if (line < 0) return null;
  const text = lines[line] as string;
  const column = text.slice(0, text.indexOf(name)).search(/['"`][^'"`]*$/) + 1;
  return placed({ file: importer, line: line + 1, column: Math.max(1, column) }, what.replace(/ imported from .*/, ''), text);
}

/** `modules` are the ES modules that were loaded for the hook. Throws nothing, whatever was thrown. */
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
