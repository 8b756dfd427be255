// SPDX-License-Identifier: MIT
/** What Node asks before it imports a module in a hook's thread; runs in the thread of Node's module hooks. */
import { isBuiltin } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { checkFile, checkRequest, isProgram, OURS, readModule } from './lookup';

interface Resolved {
  url: string;
  format?: string | null;
  shortCircuit?: boolean;
}

interface Loaded {
  format: string;
  source?: unknown;
}

const fileOf = (url: string | undefined): string | null => (url?.startsWith('file:') ? fileURLToPath(url) : null);

export async function resolve<C extends { parentURL?: string }>(name: string, context: C, next: (name: string, context: C) => Promise<Resolved>): Promise<Resolved> {
  const ours = OURS[name];
  if (ours !== undefined) return { url: pathToFileURL(ours).href, shortCircuit: true };
  if (isBuiltin(name) || name.startsWith('data:')) return next(name, context);
  const importer = fileOf(context.parentURL);
  if (importer === null || !isProgram(importer)) checkRequest(pathOrName(name, context.parentURL), importer === null ? '/' : path.dirname(importer));
  const resolved = await next(name, context);
  const file = fileOf(resolved.url);
  if (file !== null && !isProgram(file)) checkFile(file);
  return resolved;
}

export async function load<C>(url: string, context: C, next: (url: string, context: C) => Promise<Loaded>): Promise<Loaded> {
  const file = fileOf(url);
  if (file === null || isProgram(file)) return next(url, context);
  const source = readModule(file);
  const loaded = await next(url, context); // says of which kind it is
  // Without its source, Node hands a CommonJS module to require(), which is guarded as well.
  return { ...loaded, source: loaded.format === 'commonjs' ? null : source };
}

/** What a URL or a path leads to, or else the name of a package. */
function pathOrName(name: string, parent: string | undefined): string {
  if (!/^(\.{0,2}\/|\.{1,2}$|file:)/i.test(name)) return name;
  return fileOf(URL.canParse(name, parent) ? new URL(name, parent).href : undefined) ?? name;
}
