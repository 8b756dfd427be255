// SPDX-License-Identifier: MIT
/**
 * Which files this process takes code and settings from, and how it opens those that it writes for its user.
 *
 * The rule: a file is trusted if nobody but root and the effective user can change it or put another in its place. So the
 * file, and every directory on the way to it from the root on, belongs to one of the two and is writable by its owner
 * alone, sticky directories included; and so does each symbolic link on the way. An access list that lets others write
 * shows in the group's bits of the mode.
 *
 * The way is walked link by link, so that what was checked is what is opened; the file is opened without following a
 * link, checked once more through its descriptor, and read from there.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

const WRITABLE_BY_OTHERS = 0o022;
/** Of a directory: what is in it can be removed and renamed by its owner and the directory's alone. */
const STICKY = 0o1000;
/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = fs.constants;

/** Somebody else can change a file, or put another in its place. */
export class NotTrusted extends Error {
  constructor(
    /** The file, directory or link that gives the reason. */
    readonly at: string,
    readonly why: string,
  ) {
    super(`${at} ${why}`);
    this.name = 'NotTrusted';
  }
}

/** Whether a user is one whose files are trusted: root, or the one whose rights this process has. */
export const isTrustedUser = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();

function requireTrusted(at: string, { uid, mode }: fs.Stats): void {
  if (!isTrustedUser(uid)) throw new NotTrusted(at, 'does not belong to root');
  if ((mode & WRITABLE_BY_OTHERS) !== 0) throw new NotTrusted(at, 'can be written by others than root');
}

/** Whether somebody else can put other things in place of those in a directory that belong to root. */
const isOpen = ({ uid, mode }: fs.Stats): boolean => !isTrustedUser(uid) || ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0);

interface Walk {
  /** Called for each directory, and for the file. */
  check: (at: string, stat: fs.Stats) => void;
}

export interface Way {
  /** The path without links. */
  real: string;
  /** Whether somebody else can change where it leads: a link there could be another one by the time that it is read. */
  isOpen: boolean;
}

/** Follows a path component by component. Throws the ENOENT of lstat(2) for what is not there. */
function walk(file: string, { check }: Walk): Way {
  const rest = path.resolve(file).split('/').filter(Boolean);
  let at = '/';
  let open = false;
  check(at, fs.lstatSync(at));
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift() as string;
    const next = name === '..' ? path.dirname(at) : path.join(at, name);
    const stat = fs.lstatSync(next);
    if (!stat.isSymbolicLink()) {
      check(next, stat);
      open ||= stat.isDirectory() && isOpen(stat);
      at = next;
      continue;
    }
    // A link's mode says nothing; its owner could put another in its place.
    if (!isTrustedUser(stat.uid)) throw new NotTrusted(next, 'is a link that does not belong to root');
    if (open) throw new NotTrusted(next, 'is a link in a directory of somebody else');
    if (++links > MAX_LINKS) throw Object.assign(new Error(`ELOOP: too many symbolic links, ${file}`), { code: 'ELOOP' });
    const target = fs.readlinkSync(next);
    if (path.isAbsolute(target)) at = '/'; // as safe as the link
    rest.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
  }
  return { real: at, isOpen: open };
}

/** The path of a trusted file or directory without links in it. Throws NotTrusted, or the error of lstat(2). */
export const trustedPath = (file: string): string => walk(file, { check: requireTrusted }).real;

/** The same, where only the links on the way have to be trusted: for what is written, and not believed. Others may change an open way at once. */
export const withoutForeignLinks = (file: string): Way => walk(file, { check: () => undefined });

/** The content of a trusted file. */
export function readTrusted(file: string): Buffer {
  const real = trustedPath(file);
  const fd = fs.openSync(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new NotTrusted(real, 'is not a file');
    requireTrusted(real, stat);
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
