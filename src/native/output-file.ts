// SPDX-License-Identifier: MIT
/**
 * Opens what a command writes on its user's behalf. Nobody else may choose the file behind a name: links on the way are
 * followed if they are root's or the user's own, and a file that is there already is written if it is his.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { isTrustedUser, NotTrusted, withoutForeignLinks } from './trusted';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NOCTTY } = fs.constants;
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
  const directory = withoutForeignLinks(path.dirname(path.resolve(file)));
  const real = path.join(directory, path.basename(file));
  // What a descriptor refers to, as /dev/stdout: it has no name to be followed to.
  if (/^\/proc\/(\d+|thread-self)\//.test(real)) return fs.openSync(real, 'w', 0o600);
  const stat = fs.lstatSync(real, { throwIfNoEntry: false });
  if (!stat) return fs.openSync(real, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  if (stat.isSymbolicLink()) {
    if (!isTrustedUser(stat.uid)) throw new NotTrusted(real, 'is a link of somebody else');
    return openOutput(path.resolve(directory, fs.readlinkSync(real)));
  }
  if (stat.isFIFO()) return openFifo(real, isTheUsers);
  const fd = fs.openSync(real, O_WRONLY | O_NOFOLLOW | O_NOCTTY);
  try {
    const opened = fs.fstatSync(fd);
    if (!opened.isFile()) return fd;
    if (!isTheUsers(opened.uid)) throw new NotTrusted(real, 'belongs to somebody else');
    if (opened.nlink > 1) throw new NotTrusted(real, 'has other names, too');
    fs.ftruncateSync(fd);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** Opens the pipe of whoever called, through sudo or not; waits for its reader. */
export const openCallersFifo = (file: string): number => openFifo(file, (uid) => uid === (sudoUser() ?? process.geteuid?.()));

/** A device acts when it is opened, and a file is not for this: it is looked at first, and opened through what was looked at. */
function openFifo(file: string, isAllowed: (uid: number) => boolean): number {
  const seen = fs.openSync(file, O_PATH | O_NOFOLLOW);
  try {
    const stat = fs.fstatSync(seen);
    if (!stat.isFIFO()) throw new NotTrusted(file, 'is not a pipe');
    if (!isAllowed(stat.uid)) throw new NotTrusted(file, 'is the pipe of somebody else');
    return fs.openSync(`/proc/self/fd/${seen}`, O_WRONLY);
  } finally {
    fs.closeSync(seen);
  }
}
