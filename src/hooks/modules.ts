// SPDX-License-Identifier: MIT
/**
 * Finds, checks and compiles what a hook loads with require() and import. On Node 20, `resolve`, `load` and
 * `initialize` run in a thread of their own, which loads this file once more; later versions call them in the importing
 * thread.
 */
import Module, { isBuiltin, register } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

import {
  checkFile,
  checkRequest,
  compilerFile,
  isInModuleScope,
  isProgram,
  OURS,
  readModule,
  sourceOf,
  withEnding,
} from './lookup';
import { isModuleText, needsImport, NeedsImport, typescript, withoutTypes } from './typescript';

// Node's module hooks, which it calls before it imports a module in a hook's thread.

interface Resolved {
  url: string;
  format?: string | null | undefined;
  shortCircuit?: boolean | undefined;
}

interface Loaded {
  format?: string | null | undefined;
  source?: unknown;
  shortCircuit?: boolean | undefined;
}

interface ResolveContext {
  conditions?: readonly string[];
  parentURL?: string | undefined;
}

/** Node's synchronous module hooks, from 22.15 on. */
interface SynchronousHooks {
  registerHooks?: (hooks: {
    resolve: <C extends ResolveContext>(
      name: string,
      context: C,
      next: (name: string, context: C) => Resolved,
    ) => Resolved;
    load: <C extends ResolveContext>(url: string, context: C, next: (url: string, context: C) => Loaded) => Loaded;
  }) => void;
}

const TYPESCRIPT = /\.[cm]?ts$/;
const fileOf = (url: string | undefined): string | null => (url?.startsWith('file:') ? fileURLToPath(url) : null);
const resolvedTo = (file: string): Resolved => ({ url: pathToFileURL(file).href, shortCircuit: true });

/** Called with each ES module that was loaded. */
let took: (file: string) => void = () => undefined;

/** Checks all that Node may look at for a name; returns what the name means, or null to leave it to Node. */
function beforeResolve(name: string, { parentURL }: ResolveContext): Resolved | null {
  const own = OURS[name];
  if (own !== undefined) return resolvedTo(own);
  if (isBuiltin(name) || name.startsWith('data:')) return null;
  const importer = fileOf(parentURL);
  if (importer !== null && isProgram(importer)) return null;
  const wanted = pathOrName(name, parentURL);
  checkRequest(wanted, importer === null ? '/' : path.dirname(importer));
  if (importer === null || !/^\.{0,2}\//.test(wanted)) return null;
  const target = path.resolve(path.dirname(importer), wanted);
  const meant = sourceOf(target) ?? (TYPESCRIPT.test(importer) ? withEnding(target) : null);
  return meant === null ? null : asNewAsItsImporter({ ...resolvedTo(meant) }, parentURL);
}

function afterResolve(resolved: Resolved, parentURL: string | undefined): Resolved {
  const file = fileOf(resolved.url);
  if (file === null || isProgram(file)) return resolved;
  checkFile(file);
  return asNewAsItsImporter(resolved, parentURL);
}

/** Adds the importer's load number: Node keeps modules forever by their URL, and a hook's files are loaded with it. */
function asNewAsItsImporter(resolved: Resolved, parentURL: string | undefined): Resolved {
  const [, load] = /\?(load=\d+)$/.exec(parentURL ?? '') ?? [];
  if (load === undefined || resolved.url.includes('?') || resolved.url.includes('/node_modules/')) return resolved;
  return { ...resolved, url: `${resolved.url}?${load}` };
}

/** The content of a file, checked, and compiled if it is TypeScript. Null for modules that are not read here. */
function content(url: string): { file: string; source: string; loaded: Loaded | null } | null {
  const file = fileOf(url);
  if (file === null || isProgram(file)) return null;
  const source = readModule(file);
  if (!TYPESCRIPT.test(file)) return { file, source, loaded: null };
  // Node hands a CommonJS module without source to require(), which is guarded as well.
  const isModule =
    !file.endsWith('.cts') && (file.endsWith('.mts') || isModuleText(source, file) || needsImport(source, file));
  return {
    file,
    source,
    loaded: {
      format: isModule ? 'module' : 'commonjs',
      source: isModule ? withoutTypes(source, file, 'module') : null,
      shortCircuit: true,
    },
  };
}

function afterLoad({ file, source }: { file: string; source: string }, loaded: Loaded): Loaded {
  if (loaded.format !== 'commonjs') took(file);
  return { ...loaded, source: loaded.format === 'commonjs' ? null : source };
}

/** For Node 20's thread of module hooks. */
export async function resolve<C extends ResolveContext>(
  name: string,
  context: C,
  next: (name: string, context: C) => Promise<Resolved>,
): Promise<Resolved> {
  return beforeResolve(name, context) ?? afterResolve(await next(name, context), context.parentURL);
}

/** For Node 20's thread of module hooks. */
export async function load<C>(
  url: string,
  context: C,
  next: (url: string, context: C) => Promise<Loaded>,
): Promise<Loaded> {
  const found = content(url);
  if (found === null) return next(url, context);
  // Node says which kind of module it is.
  return found.loaded ?? afterLoad(found, await next(url, context));
}

/** For Node 20's thread of module hooks: called with the data that register() was given. */
export function initialize({ port }: { port: MessagePort }): void {
  took = (file) => port.postMessage(file);
}

/** Returns the ES modules that were loaded since the last call. */
let newModules: () => string[] = () => [];
export const takeNewModules = (): string[] => newModules();

/** Makes sure that this thread imports only trusted files from now on. */
export function guardImports(): void {
  const { registerHooks } = Module as unknown as SynchronousHooks;
  if (registerHooks) guardAtOnce(registerHooks);
  else guardFromThread();
}

/** Whether the request comes from require(), where guardRequests() checks it. */
const isRequire = ({ conditions }: ResolveContext): boolean => conditions?.includes('require') ?? false;

function guardAtOnce(registerHooks: NonNullable<SynchronousHooks['registerHooks']>): void {
  const taken: string[] = [];
  took = (file) => taken.push(file);
  newModules = () => taken.splice(0);
  registerHooks({
    resolve: (name, context, next) =>
      isRequire(context)
        ? next(name, context)
        : (beforeResolve(name, context) ?? afterResolve(next(name, context), context.parentURL)),
    load: (url, context, next) => {
      const found = isRequire(context) ? null : content(url);
      if (found === null) return next(url, context);
      return found.loaded ?? afterLoad(found, next(url, context));
    },
  });
}

function guardFromThread(): void {
  const { port1, port2 } = new MessageChannel();
  port1.unref();
  newModules = () => {
    const files: string[] = [];
    for (let message = receiveMessageOnPort(port1); message; message = receiveMessageOnPort(port1))
      files.push(String(message.message));
    return files;
  };
  register(pathToFileURL(path.join(__dirname, '..', 'hooks', 'modules.js')), {
    data: { port: port2 },
    transferList: [port2],
  });
}

/** The path that a URL or a path leads to, or else the name of a package. */
function pathOrName(name: string, parent: string | undefined): string {
  if (!/^(\.{0,2}\/|\.{1,2}$|file:)/i.test(name)) return name;
  return fileOf(URL.canParse(name, parent) ? new URL(name, parent).href : undefined) ?? name;
}

/** Parts of Node without a public interface; every tool that changes how modules are found uses them. */
interface Internals {
  _resolveFilename(
    request: string,
    parent: { filename?: string | null } | null | undefined,
    ...rest: unknown[]
  ): string;
  _extensions: Record<string, (module: CompilingModule, file: string) => void>;
  /** Directories where packages are looked for last: ~/.node_modules, and those of NODE_PATH. */
  globalPaths: readonly string[];
}

interface CompilingModule {
  exports: unknown;
  _compile(source: string, file: string, ...rest: unknown[]): unknown;
}

const node = Module as unknown as Internals;

/** Files of packages that the program itself has loaded. */
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
    const source =
      isOurs(from) || !/^\.{0,2}\//.test(request) ? null : sourceOf(path.resolve(path.dirname(from), request));
    const found = original(source ?? request, parent, ...rest);
    if (isOurs(from)) ours.add(found);
    return found;
  };
}

/** Reads files of each kind through their descriptors, and gives Node what was read. */
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

/** Lets Node decide what kind of module it is, and compile `source` instead of what Node has read itself. */
function compileAs(module: CompilingModule, source: string): void {
  const { _compile } = module;
  module._compile = (_read, file, ...rest) => {
    module._compile = _compile;
    return module._compile(source, file, ...rest);
  };
}

let compiles = false;

/** Makes require() accept TypeScript from now on. Throws a HOOK error if the compiler is not installed. */
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

/** Whether require() of a JavaScript file would load an ES module, which not every version of Node does silently. */
function isModule(file: string): boolean {
  if (file.endsWith('.mjs')) return true;
  return file.endsWith('.js') && (isInModuleScope(file) || isModuleText(readModule(file), file));
}
