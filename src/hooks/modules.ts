// SPDX-License-Identifier: MIT
/** How modules are found, checked and compiled in the thread that loads hooks, as far as require() loads them. */
import Module, { isBuiltin } from 'node:module';
import * as path from 'node:path';

import { guardImports } from './import-guard';
import { checkFile, checkRequest, compilerFile, isInModuleScope, isProgram, OURS, readModule, sourceOf } from './lookup';
import { isModuleText, NeedsImport, needsImport, typescript, withoutTypes } from './typescript';

/** What Node has no public way for; every tool that changes how modules are found does it here. */
interface Internals {
  _resolveFilename(request: string, parent: { filename?: string | null } | null | undefined, ...rest: unknown[]): string;
  _extensions: Record<string, (module: CompilingModule, file: string) => void>;
  /** Where packages are looked for last: ~/.node_modules, and what NODE_PATH says. */
  globalPaths: readonly string[];
}

interface CompilingModule {
  exports: unknown;
  _compile(source: string, file: string, ...rest: unknown[]): unknown;
}

const node = Module as unknown as Internals;

/** Packages that the program itself has loaded. */
const ours = new Set<string>();
const isOurs = (file: string): boolean => isProgram(file) || ours.has(file);

let prepared = false;

export function prepareModules(): void {
  if (prepared) return;
  prepared = true;
  process.setSourceMapsEnabled(true);
  guardRequests();
  guardFiles();
  guardImports();
}

function guardRequests(): void {
  const original = node._resolveFilename.bind(Module);
  node._resolveFilename = (request, parent, ...rest) => {
    const file = OURS[request];
    if (file !== undefined) return file;
    const from = parent?.filename;
    if (isBuiltin(request) || typeof from !== 'string') return original(request, parent, ...rest);
    if (!isOurs(from)) checkRequest(request, path.dirname(from), node.globalPaths);
    const source = isOurs(from) || !/^\.{0,2}\//.test(request) ? null : sourceOf(path.resolve(path.dirname(from), request));
    const found = original(source ?? request, parent, ...rest);
    if (isOurs(from)) ours.add(found);
    return found;
  };
}

/** Each kind of file is read through its descriptor, and Node is given what was read. */
function guardFiles(): void {
  for (const [ending, original] of Object.entries(node._extensions)) {
    node._extensions[ending] = (module, file) => {
      if (isOurs(file)) return original(module, file);
      if (ending === '.node') checkFile(file);
      else if (ending === '.json') return void (module.exports = JSON.parse(readModule(file)));
      else if (compiles && isModule(file)) throw new NeedsImport(file);
      else compileAs(module, readModule(file));
      original(module, file);
    };
  }
}

/** Lets Node decide what kind of module it is, and compile `source` instead of what it has read itself. */
function compileAs(module: CompilingModule, source: string): void {
  const { _compile } = module;
  module._compile = (_read, file, ...rest) => {
    module._compile = _compile;
    return module._compile(source, file, ...rest);
  };
}

let compiles = false;

/** From now on require() takes TypeScript. Throws a HOOK error where the compiler is not installed. */
export function compileTypeScript(): void {
  if (compiles) return;
  const file = compilerFile();
  if (file !== null) ours.add(file);
  typescript();
  for (const ending of ['.ts', '.cts', '.mts']) {
    node._extensions[ending] = (module, file) => {
      const source = readModule(file);
      if (ending !== '.cts' && needsImport(source, file)) throw new NeedsImport(file);
      void module._compile(withoutTypes(source, file, 'commonjs'), file);
    };
  }
  compiles = true;
}

/** Whether require() of a file of JavaScript would have to load an ES module, which not every version of Node does without a word. */
function isModule(file: string): boolean {
  if (file.endsWith('.mjs')) return true;
  return file.endsWith('.js') && (isInModuleScope(file) || isModuleText(readModule(file), file));
}
