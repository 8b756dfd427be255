// SPDX-License-Identifier: MIT
/** How modules are found, checked and compiled in the thread that loads hooks. */
import Module, { createRequire, isBuiltin, register } from 'node:module';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';

import type TypeScript from 'typescript';

import { VnetError } from '../errors';
import { checkFile, checkRequest, compilerFile, isProgram, OURS, readModule } from './lookup';

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
  register(pathToFileURL(path.join(__dirname, 'import-guard.js')));
}

function guardRequests(): void {
  const original = node._resolveFilename.bind(Module);
  node._resolveFilename = (request, parent, ...rest) => {
    const file = OURS[request];
    if (file !== undefined) return file;
    const from = parent?.filename;
    if (isBuiltin(request) || typeof from !== 'string') return original(request, parent, ...rest);
    if (!isOurs(from)) checkRequest(request, path.dirname(from), node.globalPaths);
    const found = original(request, parent, ...rest);
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
  const compiler = compilerFile();
  if (compiler === null) {
    throw new VnetError('HOOK', 'hooks in TypeScript', 'the compiler is not installed', { hint: 'install the package typescript with vnet-bpf, or write the hook in JavaScript' });
  }
  ours.add(compiler);
  const typescript = createRequire(compiler)(compiler) as typeof TypeScript;
  for (const ending of ['.ts', '.cts', '.mts']) {
    node._extensions[ending] = (module, file) => void module._compile(withoutTypes(typescript, readModule(file), file), file);
  }
  compiles = true;
}

/** Only the types are taken away: no tsconfig.json is looked for, and whatever package.json is near, it becomes CommonJS. */
function withoutTypes(typescript: typeof TypeScript, source: string, fileName: string): string {
  const { ModuleKind, ModuleResolutionKind, ScriptTarget } = typescript;
  const { outputText, diagnostics = [] } = typescript.transpileModule(source, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      module: ModuleKind.CommonJS,
      moduleResolution: ModuleResolutionKind.Node10,
      target: ScriptTarget.ES2022,
      esModuleInterop: true,
      inlineSourceMap: true,
      inlineSources: true,
    },
  });
  const [wrong] = diagnostics;
  if (!wrong) return outputText;
  const error = new SyntaxError(typescript.flattenDiagnosticMessageText(wrong.messageText, ' '));
  const { line } = wrong.file?.getLineAndCharacterOfPosition(wrong.start ?? 0) ?? { line: 0 };
  error.stack = `${String(error)}\n    at ${fileName}:${line + 1}:1`;
  throw error;
}
