// SPDX-License-Identifier: MIT
/**
 * Removing files and directories. fs.rmSync() of Node 24 gives most errors without their code, such as that of a
 * read-only file system, so it is used nowhere: a lint rule looks.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

/** Removes a file or a link; does nothing if there is none. Throws the error of unlink(2). */
export function removeFile(file: string): void {
  unlessGone(() => fs.unlinkSync(file));
}

/** Removes a file, or a directory with all that is in it, without following links; does nothing if there is none. */
export function removeTree(file: string): void {
  if (!fs.lstatSync(file, { throwIfNoEntry: false })?.isDirectory()) return removeFile(file);
  unlessGone(() => {
    for (const name of fs.readdirSync(file)) removeTree(path.join(file, name));
    fs.rmdirSync(file);
  });
}

function unlessGone(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
