// SPDX-License-Identifier: MIT
// Parts of an image that are kept in the cache until what they are made of changes.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { cache } from './paths';

/** A part from the cache, or made and put there; older versions of it are removed. */
export function cached(name: string, key: string, make: (file: string) => void): string {
  const directory = cache('images');
  const file = path.join(directory, `${name}-${key}.cpio`);
  if (existsSync(file)) return file;
  const fresh = `${file}.${process.pid}`;
  try {
    make(fresh);
    renameSync(fresh, file);
  } finally {
    rmSync(fresh, { force: true });
  }
  const stale = readdirSync(directory).filter((other) => other.startsWith(`${name}-`) && other !== path.basename(file));
  for (const other of stale) rmSync(path.join(directory, other), { force: true });
  return file;
}

/** Of files, by name, size and time. */
export function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}
