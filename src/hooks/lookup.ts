// SPDX-License-Identifier: MIT
/**
 * What Node looks at to find and load a module of a hook, checked before it is believed: the file, the package.json
 * beside and above it, and the packages whose name is asked for.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { readTrusted, trustedPath } from '../native/trusted';

/** The program's own files, which run already. */
const PROGRAM = path.resolve(__dirname, '..') + path.sep;

/** What a hook imports for values; wherever its file lies, it is this package that is meant. */
export const OURS: Readonly<Record<string, string>> = {
  'vnet-bpf/hooks': path.join(__dirname, 'index.js'),
};

export const isProgram = (file: string): boolean => file.startsWith(PROGRAM);

/** Checks a path, and what it is a link to, if it is there. Node itself says what is missing. */
function checkIfThere(file: string): fs.Stats | undefined {
  // No ENOENT for a name below a file.
  let stat: fs.Stats | undefined;
  try {
    stat = fs.lstatSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
  return stat && fs.lstatSync(trustedPath(file));
}

/** Checks the package.json of a directory and of each one above: they say how a file is read, and where names lead. */
function checkScopes(directory: string): void {
  for (let at = directory; ; at = path.dirname(at)) {
    checkIfThere(path.join(at, 'package.json'));
    if (path.dirname(at) === at) return;
  }
}

/** Checks what may be looked at for a file or directory that is asked for by its path. */
function checkTarget(target: string): void {
  checkIfThere(path.dirname(target));
  if (checkIfThere(target)?.isDirectory()) checkIfThere(path.join(target, 'package.json'));
}

/** Checks what Node looks at for `request`, made by a module in `directory`. Throws NotTrusted. */
export function checkRequest(request: string, directory: string): void {
  if (/^(\.{0,2}\/|\.{1,2}$)/.test(request)) return checkTarget(path.resolve(directory, request));
  // A name of the package itself is found in its package.json, which was checked with the module.
  if (request.startsWith('#')) return;
  const [name] = /^(?:@[^/]+\/)?[^/]+/.exec(request) ?? [request];
  for (let at = directory; ; at = path.dirname(at)) {
    const packages = path.join(at, 'node_modules');
    if (checkIfThere(packages) && checkIfThere(path.join(packages, name))) {
      checkIfThere(path.join(packages, name, 'package.json'));
      checkTarget(path.join(packages, request));
    }
    if (path.dirname(at) === at) return;
  }
}

/** Checks a file that was found, and every package.json above it. */
export function checkFile(file: string): void {
  checkScopes(path.dirname(trustedPath(file)));
}

/** The text of a module of a hook. */
export function readModule(file: string): string {
  checkFile(file);
  return readTrusted(file).toString('utf8').replace(/^\uFEFF/, '');
}

/**
 * TypeScript's compiler as it was installed with this package: in its own node_modules, or in one that holds this
 * package. Whoever may write there may change the program, too. Null if it was left out.
 */
export function compilerFile(): string | null {
  let root = path.dirname(PROGRAM);
  while (!fs.existsSync(path.join(root, 'package.json')) && root !== '/') root = path.dirname(root);
  const holders = [root];
  for (let at = root; at !== '/'; at = path.dirname(at)) if (path.basename(at) === 'node_modules') holders.push(path.dirname(at));
  return holders.map((at) => path.join(at, 'node_modules', 'typescript', 'lib', 'typescript.js')).find((file) => fs.existsSync(file)) ?? null;
}
