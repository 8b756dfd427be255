// SPDX-License-Identifier: MIT
/**
 * Which files this process reads code and settings from, and how it opens those that it writes for its user.
 *
 * The rule: a file is trusted if only root and the effective user can change it or put another in its place. So the
 * file, and every directory on the way to it from the root on, belongs to one of the two and is writable by its owner
 * alone, sticky directories included; and each symbolic link on the way belongs to one of them. An access list that
 * lets others write shows in the group's bits of the mode.
 *
 * Data that the caller could as well have typed, such as rules of faults in JSON, may also belong to the user who called
 * through sudo, and so may the directories on the way to it. The group of that name may then write, too, as it may on
 * many systems, if nobody else is in it.
 *
 * The way is walked link by link, so that what was checked is what is opened. The file is opened without following a
 * link, checked once more through its descriptor, and read from there.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { absolutePath } from './inherited';
import { removeFile } from './removal';

const WRITABLE_BY_OTHERS = 0o022;
const GROUP_WRITES = 0o020;
const OTHERS_READ = 0o004;
const OTHERS_ENTER = 0o001;
/** The sticky bit of a directory: only the owners of a file and of the directory can remove or rename the file. */
const STICKY = 0o1000;
/** The most symbolic links that are followed: as many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = fs.constants;
const READING = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/** Another user can change a file, or put another in its place. */
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

/** There is something else than a file, such as a directory or a pipe. */
export class NotAFile extends NotTrusted {
  constructor(at: string) {
    super(at, 'is not a file');
    this.name = 'NotAFile';
  }
}

/** Whether files of a user are trusted: those of root and of the effective user are. */
export const isTrustedUser = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();

/** The user who called through sudo, or null: the command reads and writes on their behalf. */
function sudoUser(): number | null {
  const uid = process.env['SUDO_UID'];
  return process.geteuid?.() === 0 && uid !== undefined && /^\d+$/.test(uid) ? Number(uid) : null;
}

const isTheUsers = (uid: number): boolean => isTrustedUser(uid) || uid === sudoUser();

// Loaded only if a group may write: starting koffi takes longer than the rest of a check.
const libc = (): typeof import('./libc') => require('./libc') as typeof import('./libc');

/** Number, name and what is told of it, by lines of /etc/passwd or /etc/group; none if that cannot be read. */
function entriesOf(file: string): string[][] {
  try {
    return fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

/**
 * Whether a group is that of the user who called through sudo alone: it has their number and name, as pam_umask(8) knows
 * such groups, and nobody else is in it. What is in no file, such as a group of a directory service, is not known to be.
 */
function isUsersOwnGroup(gid: number): boolean {
  const { SUDO_USER: user } = process.env;
  if (user === undefined || gid !== sudoUser()) return false;
  const groups = entriesOf('/etc/group').filter(([, , number]) => Number(number) === gid);
  const isTheirs = ([name, , , members = '']: string[]): boolean =>
    name === user && members.split(',').every((member) => member === '' || member === user);
  return (
    groups.length > 0 &&
    groups.every(isTheirs) &&
    entriesOf('/etc/passwd').every(([name, , , number]) => Number(number) !== gid || name === user)
  );
}

/** Which users may own a file, a directory or a link, and whom bits of its mode may let write. */
interface Trust {
  isOwner(uid: number): boolean;
  /** Whether it is nobody else whom the group's bits let write. */
  isGroup(at: string, gid: number): boolean;
  /** What is said of what belongs to somebody else, and of what others can write. */
  foreign: string;
  writable: string;
}

const CODE: Trust = {
  isOwner: isTrustedUser,
  isGroup: () => false,
  foreign: 'does not belong to root',
  writable: 'can be written by others than root',
};

const DATA: Trust = {
  isOwner: isTheUsers,
  // With an access list, the group's bits stand for everybody in it.
  isGroup: (at, gid) => isUsersOwnGroup(gid) && !libc().hasAccessList(at),
  foreign: 'belongs neither to root nor to the caller',
  writable: 'can be written by others',
};

type Check = (at: string, stat: fs.Stats, trust: Trust) => void;

const requireTrusted: Check = (at, stat, trust) => {
  if (!trust.isOwner(stat.uid)) throw new NotTrusted(at, trust.foreign);
  if (isWritable(at, stat, trust)) throw new NotTrusted(at, trust.writable);
};

/** Whether the mode lets others write. */
const isWritable = (at: string, { gid, mode }: fs.Stats, { isGroup }: Trust): boolean =>
  (mode & WRITABLE_BY_OTHERS) !== 0 && ((mode & WRITABLE_BY_OTHERS & ~GROUP_WRITES) !== 0 || !isGroup(at, gid));

/** Whether another user can replace files in a directory that belong to a trusted one. */
const isOpen = (at: string, stat: fs.Stats, trust: Trust): boolean =>
  !trust.isOwner(stat.uid) || ((stat.mode & STICKY) === 0 && isWritable(at, stat, trust));

export interface Way {
  /** The path without links. */
  real: string;
  /** Whether another user can change where it leads: a link there could be another one by the time that it is read. */
  isOpen: boolean;
}

/**
 * Follows a path component by component, and calls `check` for each directory and for the file. Throws NotTrusted for a link that cannot be trusted, or the ENOENT of lstat(2)
 * for what is not there.
 */
function walk(file: string, trust: Trust, check: Check = requireTrusted): Way {
  const rest = path.resolve(file).split('/').filter(Boolean);
  let at = '/';
  let open = false;
  check(at, fs.lstatSync(at), trust);
  for (let links = 0; rest.length > 0;) {
    const name = rest.shift() as string;
    const next = name === '..' ? path.dirname(at) : path.join(at, name);
    const stat = fs.lstatSync(next);
    if (!stat.isSymbolicLink()) {
      check(next, stat, trust);
      open ||= stat.isDirectory() && isOpen(next, stat, trust);
      at = next;
      continue;
    }
    // A link's mode says nothing; its owner could put another in its place.
    if (!trust.isOwner(stat.uid)) throw new NotTrusted(next, 'is a link that does not belong to root');
    if (open) throw new NotTrusted(next, 'is a link in a directory of somebody else');
    if (++links > MAX_LINKS)
      throw Object.assign(new Error(`ELOOP: too many symbolic links, ${file}`), { code: 'ELOOP' });
    const target = fs.readlinkSync(next);
    if (path.isAbsolute(target)) at = '/'; // as safe as the link
    rest.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
  }
  return { real: at, isOpen: open };
}

/** The path of a trusted file or directory without links in it. Throws NotTrusted, or the error of lstat(2). */
export const trustedPath = (file: string): string => walk(file, CODE).real;

/**
 * The same, but only the links on the way have to be trusted: for files that are written and not believed. Others may
 * change an open way at any moment.
 */
export const withoutForeignLinks = (file: string): Way => walk(file, CODE, () => undefined);

/** The content of a trusted file of at most `bytesMax` bytes. Throws NotTrusted, or what open(2) and read(2) say. */
export function readTrusted(file: string, bytesMax = Infinity): Buffer {
  const real = trustedPath(file);
  return readOpened(fs.openSync(real, READING), real, bytesMax, CODE);
}

/**
 * The same for data that the caller could have typed: it may also belong to the user who called through sudo. That user
 * can change the way at any moment, but has no way to a file that they could not read: it is opened in the directory
 * that was checked, and has no other name.
 */
export function readCallersData(file: string, bytesMax = Infinity): Buffer {
  const { real } = walk(file, DATA);
  return inDirectory(path.dirname(real), (directory) =>
    readOpened(fs.openSync(`${directory}/${path.basename(real)}`, READING), real, bytesMax, DATA, (at, stat) => {
      requireTrusted(at, stat, DATA);
      if (stat.nlink > 1 && !isTrustedUser(fs.statSync(directory).uid))
        throw new NotTrusted(at, 'has other names, too');
    }),
  );
}

/** Whether the user who called, through sudo or not, could read a file: only then may messages quote it. */
export function callerMayRead(file: string): boolean {
  const user = sudoUser();
  if (user === null || user === 0) return true;
  let may = true;
  try {
    walk(file, DATA, (_, stat) => {
      may &&= stat.uid === user || (stat.mode & (stat.isDirectory() ? OTHERS_ENTER : OTHERS_READ)) !== 0;
    });
  } catch {
    return false;
  }
  return may;
}

/** Reads the file of a descriptor, which it closes, once `check` has accepted it. */
function readOpened(fd: number, real: string, bytesMax: number, trust: Trust, check = requireTrusted): Buffer {
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new NotAFile(real);
    check(real, stat, trust);
    if (stat.size > bytesMax) throw new RangeError(`has more than ${bytesMax} bytes`);
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

// Opening files that a command writes on its user's behalf. No other user may choose the file behind a name: links on
// the way are followed if they are root's or the user's own, and an existing file is written if it belongs to them.

const { O_WRONLY, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY } = fs.constants;
/** A flag of Linux that Node does not name: for a descriptor that can only be looked at. */
const O_PATH = 0o10000000;

/** What is done with an output, by what there is: a descriptor of a process, nothing, or something. */
interface OutputBy<T> {
  descriptor(real: string): T;
  none(there: string): T;
  some(seen: number, stat: fs.Stats): T;
}

function atOutput<T>(file: string, by: OutputBy<T>): T {
  const absolute = absolutePath(file);
  const way = withoutForeignLinks(path.dirname(absolute));
  const name = path.basename(absolute);
  const real = path.join(way.real, name);
  // A descriptor, such as /dev/stdout: there is no name to follow.
  if (/^\/proc\/(\d+|thread-self)\//.test(real)) return by.descriptor(real);
  return inDirectory(way.real, (directory) => {
    const there = `${directory}/${name}`;
    const seen = openIfThere(there);
    if (seen === null) return by.none(there);
    try {
      const stat = fs.fstatSync(seen);
      if (!stat.isSymbolicLink()) {
        requireOutputFile(real, stat);
        return by.some(seen, stat);
      }
      if (way.isOpen || !isTrustedUser(stat.uid)) throw new NotTrusted(real, 'is a link of somebody else');
    } finally {
      fs.closeSync(seen);
    }
    return atOutput(path.resolve(way.real, fs.readlinkSync(there)), by);
  });
}

function requireOutputFile(name: string, stat: fs.Stats): void {
  if (stat.isDirectory()) throw new NotTrusted(name, 'is a directory');
  if ((stat.isFIFO() || stat.isFile()) && !isTheUsers(stat.uid)) throw new NotTrusted(name, 'belongs to somebody else');
  if (stat.isFile() && stat.nlink > 1) throw new NotTrusted(name, 'has other names, too');
}

/**
 * Opens a file that only its owner can read, made or emptied; or a pipe, waiting for its reader; or a device. Throws
 * NotTrusted.
 */
export const openOutput = (file: string): number =>
  atOutput(file, {
    descriptor: (real) => fs.openSync(real, 'w', 0o600),
    none: (there) => fs.openSync(there, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
    // The file that was looked at, not the one that has its name by now.
    some: (seen, stat) => fs.openSync(`/proc/self/fd/${seen}`, O_WRONLY | O_NOCTTY | (stat.isFile() ? O_TRUNC : 0)),
  });

/** Throws NotTrusted for a file that openOutput() would not open now; opens and makes nothing. */
export const requireOutput = (file: string): void =>
  atOutput(file, { descriptor: () => undefined, none: () => undefined, some: () => undefined });

/**
 * Runs `body` with a path of the directory through a descriptor of it: another user may put a link in the directory's
 * place at any moment, if it lies in a directory of theirs.
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

/** Removes a file that openOutput() made; one that belongs to another user by now stays. */
export function removeOutput(file: string): void {
  const absolute = absolutePath(file);
  inDirectory(withoutForeignLinks(path.dirname(absolute)).real, (directory) => {
    const there = `${directory}/${path.basename(absolute)}`;
    const stat = fs.lstatSync(there, { throwIfNoEntry: false });
    if (stat?.isFile() && isTheUsers(stat.uid)) fs.unlinkSync(there);
  });
}

/**
 * Opens a pipe of the user who called, through sudo or not; waits for its reader. Refuses devices, which act when they
 * are opened, and files.
 */
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

// Files that are installed, by `extcap --install` and `completion --install`.

/** Replaces a file; a link of that name is not followed. */
export function putFile(file: string, text: string, mode: number): void {
  const made = `${file}.${process.pid}`;
  const fd = fs.openSync(made, 'wx', mode);
  try {
    fs.writeFileSync(fd, text);
    fs.fchmodSync(fd, mode);
    fs.renameSync(made, file);
  } catch (error) {
    removeFile(made);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}
