// SPDX-License-Identifier: MIT
// Where things lie: the repository, and the cache that holds everything this harness writes.
import { mkdirSync } from 'node:fs';
import path from 'node:path';

export const repository = path.resolve(__dirname, '../..');

export const cacheDirectory = path.resolve(process.env['VNET_BPF_CACHE'] ?? path.join(repository, '.cache/vm'));

/** A directory below the cache, created if need be. */
export function cache(...segments: string[]): string {
  const directory = path.join(cacheDirectory, ...segments);
  mkdirSync(directory, { recursive: true });
  return directory;
}
