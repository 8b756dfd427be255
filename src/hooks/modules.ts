// SPDX-License-Identifier: MIT
/** How modules are found and compiled in the thread that loads hooks. */
import Module, { register } from 'node:module';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';

import type { RegisterOptions } from 'ts-node';

import { VnetError } from '../errors';

/** What a hook imports for values; wherever its file lies, it is this package that is meant. */
const OURS: Readonly<Record<string, string>> = {
  'vnet-bpf/hooks': path.join(__dirname, '..', 'hooks', 'index.js'),
};

let prepared = false;

export function prepareModules(): void {
  if (prepared) return;
  prepared = true;
  process.setSourceMapsEnabled(true);
  findOursForRequire();
  findOursForImport();
}

/** Node has no public way to do this for require(); every tool that does it does it here. */
function findOursForRequire(): void {
  const resolver = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string };
  const original = resolver._resolveFilename;
  resolver._resolveFilename = function (request, ...rest) {
    return OURS[request] ?? original.call(this, request, ...rest);
  };
}

function findOursForImport(): void {
  const urls = Object.fromEntries(Object.entries(OURS).map(([name, file]) => [name, pathToFileURL(file).href]));
  const source = `const ours = ${JSON.stringify(urls)};
    export const resolve = (name, context, next) => name in ours ? { url: ours[name], shortCircuit: true } : next(name, context);`;
  register(`data:text/javascript,${encodeURIComponent(source)}`);
}

let compiles = false;

/** From now on require() takes TypeScript. Throws a HOOK error where ts-node is not installed. */
export async function compileTypeScript(): Promise<void> {
  if (compiles) return;
  const options: RegisterOptions = {
    transpileOnly: true,
    skipProject: true,
    // Whatever package.json is near: require() takes CommonJS.
    moduleTypes: { '**': 'cjs' },
    compilerOptions: { module: 'CommonJS', moduleResolution: 'Node10', target: 'ES2022', esModuleInterop: true },
  };
  try {
    (await import('ts-node')).register(options);
    compiles = true;
  } catch (cause) {
    throw new VnetError('HOOK', 'hooks in TypeScript', `ts-node cannot be loaded: ${(cause as Error).message}`, {
      hint: 'npm install ts-node typescript, or write the hook in JavaScript',
      cause,
    });
  }
}
