// SPDX-License-Identifier: MIT
// Finds kernel modules and what they depend on. Debian's packages carry no modules.dep (it is made at
// installation), so the dependencies are read from the modules themselves.
import { mkdtempSync, copyFileSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from './command';

export interface LoadedModule {
  readonly name: string;
  readonly content: Buffer;
}

/** The wanted modules with their dependencies, in an order in which they can be inserted; absent ones are left out. */
export function collectModules(root: string, wanted: readonly string[], scratch: string): LoadedModule[] {
  const builtin = new Set(readFileSync(path.join(root, 'modules.builtin'), 'utf8').split('\n').map(moduleName));
  const files = new Map(walk(path.join(root, 'kernel')).map((file) => [moduleName(file), file]));
  const ordered = new Map<string, LoadedModule>();
  const visit = (name: string, seen: readonly string[]): void => {
    if (ordered.has(name) || builtin.has(name) || seen.includes(name)) return;
    const file = files.get(name);
    if (file === undefined) return;
    const content = readModule(file, scratch);
    for (const needed of dependencies(content)) visit(needed, [...seen, name]);
    ordered.set(name, { name, content });
  };
  for (const name of wanted) visit(canonical(name), []);
  return [...ordered.values()];
}

/** From the .modinfo section: NUL-separated `key=value`. */
export function dependencies(module: Buffer): string[] {
  const key = Buffer.from('\0depends=');
  const at = module.indexOf(key);
  if (at < 0) return [];
  const end = module.indexOf(0, at + key.length);
  return module
    .toString('latin1', at + key.length, end)
    .split(',')
    .filter(Boolean)
    .map(canonical);
}

/** Decompressed on the host: ten times faster than in the guest, and busybox knows no .zst. */
function readModule(file: string, scratch: string): Buffer {
  const tool = { '.xz': 'xz', '.zst': 'zstd', '.gz': 'gzip' }[path.extname(file)];
  if (!tool) return readFileSync(file);
  const directory = mkdtempSync(path.join(scratch, 'module-'));
  try {
    const copy = path.join(directory, path.basename(file));
    copyFileSync(file, copy);
    run(tool, ['-dq', copy]);
    return readFileSync(copy.slice(0, -path.extname(file).length));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function moduleName(file: string): string {
  return canonical(path.basename(file).replace(/\.ko(\..*)?$/, ''));
}

/** Names are written with - and _ alike. */
function canonical(name: string): string {
  return name.replaceAll('-', '_');
}

function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.includes('.ko'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}
