// SPDX-License-Identifier: MIT
/** The files of the project: what was written, not what was built or downloaded. */
import { readdirSync } from 'node:fs';
import * as path from 'node:path';

const SKIPPED = new Set(['node_modules', 'dist', 'dist-test', '.git', '.cache', '.tap', 'coverage']);

export function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    // A worktree has a file of that name.
    if (SKIPPED.has(entry.name)) return [];
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) return walk(file);
    return entry.isFile() ? [file] : [];
  });
}
