// SPDX-License-Identifier: MIT
/**
 * Opens what a command writes on its user's behalf. Nobody else may choose the file behind a name: links on the way are
 * followed if they are root's or the user's own, and a file that is there already is written if it is his.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { isTrustedUser, NotTrusted, withoutForeignLinks } from './trusted';
import { absolutePath } from './working-directory';

const { O_WRONLY, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_NOCTTY } = fs.constants;
/** Of Linux, which Node does not name: a descriptor that can only be looked at. */
const O_PATH = 0o10000000;

/** The user who called through sudo, if somebody did: the command writes on his behalf. */
function sudoUser(): number | null {
  const uid = process.env['SUDO_UID'];
  return process.geteuid?.() === 0 && uid !== undefined && /^\d+$/.test(uid) ? Number(uid) : null;
}

const isTheUsers = (uid: number): boolean => isTrustedUser(uid) || uid === sudoUser();

/** Opens a file that only its owner can read, made or emptied; or a pipe, waiting for its reader, or a device. */
export function openOutput(file: string): number {
  const absolute = absolutePath(file);
  const way = withoutForeignLinks(path.dirname(absolute));
  const name = path.basename(absolute);
  const real = path.join(way.real, name);
  // What a descriptor refers to, as /dev/stdout: it has no name to be followed to.
  if (/^\/proc\/(\d+|thread-self)\//.test(real)) return fs.openSync(real, 'w', 0o600);
  return inDirectory(way.real, (directory) => {
    const there = `${directory}/${name}`;
    const seen = openIfThere(there);
    if (seen === null) return fs.openSync(there, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      const stat = fs.fstatSync(seen);
      if (!stat.isSymbolicLink()) return openSeen(seen, real, stat);
      if (way.isOpen || !isTrustedUser(stat.uid)) throw new NotTrusted(real, 'is a link of somebody else');
    } finally {
      fs.closeSync(seen);
    }
    return openOutput(path.resolve(way.real, fs.readlinkSync(there)));
  });
}

/**
 * Names in a directory are looked up through a descriptor of it: somebody else may put a link in the directory's place
 * whenever he likes, if it lies in one of his.
 */
function inDirectory<T>(directory: string, body: (directory: string) => T): T {
  const fd = fs.openSync(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  try {
    const held = `/proc/self/fd/${fd}`;
    if (fs.readlinkSync(held) !== directory) throw new NotTrusted(directory, 'was moved by somebody else');
    return body(held);
  } catch (error) {
    if (error instanceof Error) error.message = error.message.replace(/\/proc\/self\/fd\/\d+/, directory);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

function openIfThere(file: string): number | null {
  try {
    return fs.openSync(file, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Opens what was looked at, and not what has its name by now. */
function openSeen(seen: number, name: string, stat: fs.Stats): number {
  if (stat.isDirectory()) throw new NotTrusted(name, 'is a directory');
  if ((stat.isFIFO() || stat.isFile()) && !isTheUsers(stat.uid)) throw new NotTrusted(name, 'belongs to somebody else');
  if (stat.isFile() && stat.nlink > 1) throw new NotTrusted(name, 'has other names, too');
  return fs.openSync(`/proc/self/fd/${seen}`, O_WRONLY | O_NOCTTY | (stat.isFile() ? O_TRUNC : 0));
}

/** Removes a file that was made by openOutput(); one that is another's by now stays. */
export function removeOutput(file: string): void {
  const absolute = absolutePath(file);
  inDirectory(withoutForeignLinks(path.dirname(absolute)).real, (directory) => {
    const there = `${directory}/${path.basename(absolute)}`;
    const stat = fs.lstatSync(there, { throwIfNoEntry: false });
    if (stat?.isFile() && isTheUsers(stat.uid)) fs.unlinkSync(there);
  });
}

/** Opens the pipe of whoever called, through sudo or not; waits for its reader. A device acts when it is opened, and a file is not for this. */
export function openCallersFifo(file: string): number {
  const seen = fs.openSync(file, O_PATH | O_NOFOLLOW);
  try {
    const stat = fs.fstatSync(seen);
    if (!stat.isFIFO()) throw new NotTrusted(file, 'is not a pipe');
    if (stat.uid !== (sudoUser() ?? process.geteuid?.())) throw new NotTrusted(file, 'is the pipe of somebody else');
    return fs.openSync(`/proc/self/fd/${seen}`, O_WRONLY);
  } finally {
    fs.closeSync(seen);
  }
}
