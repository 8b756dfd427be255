// SPDX-License-Identifier: MIT
/** The directory that users name files from. It may have been removed: then only names from the root mean anything. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { VnetError } from '../errors';

/** A descriptor of the directory that was removed, once this process has left it. */
let left: number | null = null;

/** Null if it has been removed. */
export function workingDirectory(): string | null {
  try {
    return left === null ? process.cwd() : null;
  } catch {
    return null;
  }
}

/** The directory that files are named from, or why none can be named: such a text does not begin with a slash. */
export function namesBeginAt(): string {
  const directory = workingDirectory();
  if (directory === null) return 'the working directory has been removed';
  // Node.js has U+FFFD in place of bytes that are no UTF-8: another directory may be called so.
  const isUtf8 = !directory.includes('\ufffd') || fs.readlinkSync('/proc/self/cwd', 'buffer').equals(Buffer.from(directory));
  return isUtf8 ? directory : 'the name of the working directory is not UTF-8';
}

/** Goes to / if the working directory has been removed: Node.js starts no thread there. */
export function leaveRemovedDirectory(): void {
  if (workingDirectory() !== null || left !== null) return;
  left = fs.openSync('.', fs.constants.O_DIRECTORY);
  process.chdir('/');
}

/** The caller's working directory, removed or not, for a process that is started. */
export const callersDirectory = (): string => (left === null ? '.' : `/proc/self/fd/${left}`);

/** The absolute path of a file that a user has named. Throws a VnetError if its name depends on a directory from which nothing can be named. */
export function absolutePath(file: string, directory = namesBeginAt()): string {
  if (path.isAbsolute(file)) return path.resolve(file);
  if (path.isAbsolute(directory)) return path.resolve(directory, file);
  throw new VnetError('STATE', `file ${file}`, directory, { hint: 'cd to another directory, or name the file from /' });
}
