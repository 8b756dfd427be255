// SPDX-License-Identifier: MIT
/**
 * Checks what Node looks at to find and load a module of a hook before any of it is trusted: the file, the package.json
 * beside and above it, and the packages whose name is requested.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { readTrusted, trustedPath } from '../native/trusted';

/** The directory of the program's own files, which run already. */
const PROGRAM = path.resolve(__dirname, '..') + path.sep;

/** Modules that hooks and rules import for values; they are this package's own, wherever the file lies. */
export const OURS: Readonly<Record<string, string>> = {
  'vnet-bpf/hooks': path.join(__dirname, '..', 'hooks', 'index.js'),
  'vnet-bpf/faults': path.join(__dirname, '..', 'faults', 'index.js'),
};

export const isProgram = (file: string): boolean => file.startsWith(PROGRAM);

/** Endings that require() tries for a name that has none. */
const ENDINGS = ['.js', '.json', '.node', '.ts', '.cts', '.mts'];

/** How importers name a TypeScript file: by the ending of what it is compiled to. */
const BECOMES = [
  ['.js', '.ts'],
  ['.mjs', '.mts'],
  ['.cjs', '.cts'],
] as const;

/**
 * The TypeScript file that a JavaScript path stands for, such as `./helper.js` where there is only helper.ts: Node's
 * own resolution (TypeScript's `nodenext`) names modules this way. Null if there is none, or if the path itself exists.
 */
export function sourceOf(target: string): string | null {
  const [, ending] = BECOMES.find(([becomes]) => target.endsWith(becomes)) ?? [];
  if (ending === undefined || fs.existsSync(target)) return null;
  const source = target.slice(0, -ending.length) + ending;
  return fs.existsSync(source) ? source : null;
}

/** The file that a path without an ending stands for, as in require(); null if there is none, or the path is a file. */
export function withEnding(target: string): string | null {
  if (fs.statSync(target, { throwIfNoEntry: false })?.isFile()) return null;
  const tried = [target, path.join(target, 'index')].flatMap((each) => ENDINGS.map((ending) => each + ending));
  return tried.find((each) => fs.statSync(each, { throwIfNoEntry: false })?.isFile()) ?? null;
}

/** Whether the nearest package.json says that .js means an ES module. */
export function isInModuleScope(file: string): boolean {
  for (const at of upwards(path.dirname(file))) {
    const description = descriptionOf(at);
    if (description !== null) return description.type === 'module';
  }
  return false;
}

/** Checks a path, and the target of a link, if it exists. Node itself reports what is missing. */
function checkIfThere(file: string): fs.Stats | undefined {
  try {
    fs.lstatSync(file);
    return fs.lstatSync(trustedPath(file));
  } catch (error) {
    // ENOTDIR: a name below a file.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Checks the package.json of a directory and of each one above: they say how a file is read, and where names lead. */
function checkScopes(directory: string): void {
  for (const at of upwards(directory)) checkIfThere(path.join(at, 'package.json'));
}

function* upwards(directory: string): Generator<string> {
  for (let at = directory; ; at = path.dirname(at)) {
    yield at;
    if (path.dirname(at) === at) return;
  }
}

/** The fields of a package.json that decide where names lead. */
interface Description {
  name?: unknown;
  type?: unknown;
  main?: unknown;
  exports?: unknown;
  imports?: unknown;
}

/** The package.json of a directory, checked; null where there is none. Node itself reports invalid JSON. */
function descriptionOf(directory: string): Description | null {
  const file = path.join(directory, 'package.json');
  if (!checkIfThere(file)?.isFile()) return null;
  try {
    return (JSON.parse(
      readTrusted(file)
        .toString('utf8')
        .replace(/^\uFEFF/, ''),
    ) ?? {}) as Description;
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** All that a name may lead to by `exports` or `imports`, under any condition; `*` is the matching part of the name. */
function* targetsOf(map: unknown, name: string): Generator<string> {
  if (typeof map === 'string') yield map;
  if (typeof map !== 'object' || map === null) return;
  for (const [key, value] of Object.entries(map)) {
    const [before = '', after] = key.split('*');
    if (!/^[.#]/.test(key) || key === name) yield* targetsOf(value, name);
    else if (after !== undefined && name.startsWith(before) && name.endsWith(after)) {
      const middle = name.slice(before.length, name.length - after.length);
      for (const target of targetsOf(value, name)) yield target.replaceAll('*', middle);
    }
  }
}

/** Checks a path, the path with each ending, and the index files of a directory of that name. */
function checkFileOrIndex(target: string): void {
  if (checkIfThere(target)?.isDirectory())
    for (const ending of ENDINGS) checkIfThere(path.join(target, `index${ending}`));
  for (const ending of ENDINGS) checkIfThere(target + ending);
}

/** Checks everything that Node may look at for a file or directory requested by its path. */
function checkTarget(target: string): void {
  checkIfThere(path.dirname(target));
  checkFileOrIndex(target);
  const main = descriptionOf(target)?.main;
  if (typeof main === 'string') checkFileOrIndex(path.resolve(target, main));
}

/** Checks what a package's package.json makes of a name in it: `.`, `./part`. */
function checkPackage(directory: string, name: string): void {
  const { exports = null } = descriptionOf(directory) ?? {};
  for (const target of targetsOf(exports, name)) checkFileOrIndex(path.join(directory, target));
  checkTarget(path.join(directory, name));
}

/** Checks `#name`, or the name of the package that contains the requesting module. */
function checkOwnNames(request: string, packageName: string, directory: string): void {
  for (const at of upwards(directory)) {
    const description = descriptionOf(at);
    if (description === null) continue;
    if (description.name === packageName) checkPackage(at, `.${request.slice(packageName.length)}`);
    if (request.startsWith('#')) {
      for (const target of targetsOf(description.imports, request)) {
        if (target.startsWith('./')) checkFileOrIndex(path.join(at, target));
        else if (!target.startsWith('#')) checkRequest(target, at);
      }
    }
    return;
  }
}

/**
 * Checks what Node looks at for `request`, made by a module in `directory`: every place where it may look, not only the
 * one where it finds the module. `more` are directories of packages besides those above. Throws NotTrusted.
 */
export function checkRequest(request: string, directory: string, more: readonly string[] = []): void {
  if (/^(\.{0,2}\/|\.{1,2}$)/.test(request)) return checkTarget(path.resolve(directory, request));
  const [name] = /^(?:@[^/]+\/)?[^/]+/.exec(request) ?? [request];
  checkOwnNames(request, name, directory);
  if (request.startsWith('#')) return;
  for (const packages of [...[...upwards(directory)].map((at) => path.join(at, 'node_modules')), ...more]) {
    if (checkIfThere(packages) && checkIfThere(path.join(packages, name)))
      checkPackage(path.join(packages, name), `.${request.slice(name.length)}`);
    // A file beside packages: require('part') finds node_modules/part.js.
    else checkFileOrIndex(path.join(packages, request));
  }
}

/** Checks a file that was found, and every package.json above it. */
export function checkFile(file: string): void {
  checkScopes(path.dirname(trustedPath(file)));
}

/** The text of a module of a hook. */
export function readModule(file: string): string {
  checkFile(file);
  return readTrusted(file)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

/**
 * The file of TypeScript's compiler as installed with this package: in its own node_modules, or in one that holds this
 * package. Anyone who can write there can change the program, too. Null if it was left out.
 */
export function compilerFile(): string | null {
  let root = path.dirname(PROGRAM);
  while (!fs.existsSync(path.join(root, 'package.json')) && root !== '/') root = path.dirname(root);
  const holders = [root];
  for (let at = root; at !== '/'; at = path.dirname(at))
    if (path.basename(at) === 'node_modules') holders.push(path.dirname(at));
  return (
    holders
      .map((at) => path.join(at, 'node_modules', 'typescript', 'lib', 'typescript.js'))
      .find((file) => fs.existsSync(file)) ?? null
  );
}

/** Where the build keeps the compiler's bytecode, named by version: V8 compares only the length of the source. */
export function compilerBytecode(file: string): string {
  const { version } = JSON.parse(fs.readFileSync(path.resolve(file, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  return path.join(PROGRAM, `typescript-${version}.cache`);
}
