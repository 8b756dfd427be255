// SPDX-License-Identifier: MIT
/** Loads a hook file and the files that it imports, anew each time. Node loads the JavaScript. */
import { type Runtime, Session } from 'node:inspector';
import { createRequire, findSourceMap } from 'node:module';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';

import { VnetError } from '../errors';
import type { Concerns } from '../faults/concerns';
import { importFrom } from '../native/import';
import type { Frame } from '../packet/frame';
import { describe, type Hook, type HookContext } from './contract';
import { loadErrorText } from './error-text';
import { isProgram } from './lookup';
import { compileTypeScript, prepareModules, takeNewModules } from './modules';
import { type ModuleKind, notTrusted } from './trust';
import { NeedsImport } from './typescript';

// Where a function is defined, according to the engine's debugger.

const NAME = '__vnetBpfFunction';

/**
 * `host.ts:12`, or the file alone if the engine does not say. The engine knows the file as `loadedAs`, a path or a URL.
 */
export function placeOfFunction(fn: unknown, file: string, loadedAs: string): string {
  const session = new Session();
  const shared = globalThis as Record<string, unknown>;
  shared[NAME] = fn;
  try {
    session.connect();
    let line: number | undefined;
    // The callbacks of a session with one's own thread are called before post() returns.
    session.post('Runtime.evaluate', { expression: `globalThis.${NAME}` }, (_error, evaluated) => {
      const { objectId } = evaluated.result;
      if (objectId === undefined) return;
      session.post('Runtime.getProperties', { objectId }, (_failed, { internalProperties = [] }) => {
        const found = internalProperties.find(({ name }) => name === '[[FunctionLocation]]')?.value as
          Runtime.RemoteObject | undefined;
        line = lineOf(found?.value as { lineNumber: number; columnNumber: number } | undefined, loadedAs);
      });
    });
    return line === undefined ? file : `${file}:${line}`;
  } finally {
    delete shared[NAME];
    session.disconnect();
  }
}

/** The line, counted from 1; in the source if the file was compiled. */
function lineOf(at: { lineNumber: number; columnNumber: number } | undefined, loadedAs: string): number | undefined {
  if (at === undefined) return undefined;
  const entry = findSourceMap(loadedAs)?.findEntry(at.lineNumber, at.columnNumber);
  return (entry && 'originalLine' in entry ? (entry.originalLine as number) : at.lineNumber) + 1;
}

export interface LoadedHook {
  readonly name: string;
  /** The file's real path. */
  readonly file: string;
  /** Where the frame function is, as file:line. */
  readonly place: string;
  /** Whether it wants superpackets whole. */
  readonly whole: boolean;
  /** Whether its answers are those of faults: `Wait` in host.ts. */
  readonly isFaults?: boolean;
  /** Tells which frames pass without being shown; null if all must be shown. */
  readonly concerns?: Concerns | null;
  /** Whether no segment of a superpacket concerns the hook: the superpacket then passes whole and is not shown. */
  readonly ignores?: (superpacket: Frame) => boolean;
  /** When frames that wait have to be decided on, in milliseconds of the thread's clock, and what decides on them. */
  readonly waiting?: { decidesAt(): number; decide(now: number, context: HookContext): void };
  /** The most frames that may wait at a time; any more stay in the ring. */
  readonly waitsMost?: number;
  readonly frame: Hook['frame'];
  readonly start: Hook['start'] | undefined;
  readonly stop: Hook['stop'] | undefined;
}

const TYPESCRIPT = /\.[cm]?ts$/;

/** Files that hooks have loaded through require(), which are forgotten before the next load. */
const loaded = new Set<string>();
let loads = 0;

const STACK_LINES = 50;

/** Loads a file that trustedHookFile() has accepted. Throws a HOOK error that names the file and the line. */
export async function loadHook(file: string): Promise<LoadedHook> {
  const { value, loadedAs } = await loadExport(file, 'hook');
  return checkedHook(file, value, loadedAs);
}

/** The default export of such a file; messages call it `what`. */
export async function loadExport(file: string, what: ModuleKind): Promise<{ value: unknown; loadedAs: string }> {
  prepareModules();
  for (const name of loaded) delete require.cache[name];
  loaded.clear();
  const before = new Set(Object.keys(require.cache));
  // The stack line of the import is below many of Node's own.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_LINES;
  try {
    takeNewModules();
    const { exported, loadedAs } = TYPESCRIPT.test(file) ? await loadTypeScript(file) : await importModule(file);
    return { value: defaultOf(exported), loadedAs };
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    if (isNotTrusted(cause)) throw notTrusted(file, cause, what);
    throw new VnetError(
      'HOOK',
      `${what} ${file}`,
      `cannot be loaded: ${loadErrorText(cause, file, takeNewModules())}`,
      { hint: `fix the file; docs/${what === 'hook' ? 'hooks' : what}.md shows what such a file looks like`, cause },
    );
  } finally {
    Error.stackTraceLimit = limit;
    for (const name of Object.keys(require.cache))
      if (!before.has(name) && !name.includes('/node_modules/') && !isProgram(name)) loaded.add(name);
  }
}

/** Whether a file is not trusted. An error from the thread of Node's module hooks keeps only its name and message. */
const isNotTrusted = (cause: unknown): cause is Error => cause instanceof Error && cause.name === 'NotTrusted';

interface Exported {
  exported: unknown;
  /** The path or the URL by which Node knows the module. */
  loadedAs: string;
}

/** Loads it as CommonJS, which finds modules in more places; as an ES module if it, or what it loads, is one. */
async function loadTypeScript(file: string): Promise<Exported> {
  compileTypeScript();
  try {
    // The file is its own requirer: files that the program requires are not checked.
    return { exported: createRequire(file)(file) as unknown, loadedAs: file };
  } catch (error) {
    if (!(error instanceof NeedsImport)) throw error;
    return importModule(file);
  }
}

/** Imports a file under a URL of its own for each load, because Node keeps modules forever by their URL. */
async function importModule(file: string): Promise<Exported> {
  const loadedAs = `${pathToFileURL(file).href}?load=${++loads}`;
  return { exported: await importFrom(loadedAs), loadedAs };
}

/** The default export, however deeply a translation to CommonJS has nested it. */
function defaultOf(exported: unknown): unknown {
  let value = exported;
  for (let depth = 0; depth < 2 && typeof value === 'object' && value !== null && 'default' in value; depth++)
    value = value.default;
  return value;
}

/** Whether a value is all that an ES module exports, or what was one before its translation: it has no default. */
const isNamespace = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (types.isModuleNamespaceObject(value) || Object.hasOwn(value, '__esModule')) &&
  !('frame' in value);

/**
 * Checks what a hook file exports, or a hook of the program, for which `loadedAs` is null. Throws a HOOK error.
 */
export function checkedHook(file: string, exported: unknown, loadedAs: string | null): LoadedHook {
  const wrong = (why: string): never => {
    throw new VnetError('HOOK', `hook ${file}`, why, {
      hint: "export default (frame) => 'pass' is the smallest one; docs/hooks.md",
    });
  };
  const hook = (typeof exported === 'function' ? { frame: exported } : exported) as Partial<
    Record<keyof Hook, unknown>
  > | null;
  if (isNamespace(hook)) return wrong('has no default export');
  if (typeof hook !== 'object' || hook === null)
    return wrong(`exports ${describe(hook)} by default, which is neither a function nor a hook`);
  for (const method of ['frame', 'start', 'stop'] as const) {
    const has = hook[method];
    if (typeof has !== 'function' && (method === 'frame' || has !== undefined))
      return wrong(`has a ${method} that is no function: ${describe(has)}`);
  }
  const { superpackets = 'segmented', name = path.basename(file).replace(/\.[cm]?[jt]s$/, '') } = hook;
  if (superpackets !== 'segmented' && superpackets !== 'whole')
    return wrong(`has superpackets ${describe(superpackets)}: 'segmented' or 'whole'`);
  if (typeof name !== 'string') return wrong(`has a name that is no text: ${describe(name)}`);
  const { frame, start, stop } = hook as Hook;
  let place: string | undefined;
  return {
    name,
    file,
    get place() {
      return (place ??= loadedAs === null ? file : placeOfFunction(frame, file, loadedAs));
    },
    whole: superpackets === 'whole',
    // Bound, so that `this` is the hook and no frame costs a property look-up.
    frame: frame.bind(hook) as Hook['frame'],
    start: start?.bind(hook),
    stop: stop?.bind(hook),
  };
}
