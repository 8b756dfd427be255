// SPDX-License-Identifier: MIT
/** What this process inherits and hands on: descriptors, the environment, the umask, the working directory. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { VnetError } from '../errors';

// Descriptors beyond the standard ones that the caller has left open for this process: a lock, a pipe, the jobserver of
// make. When it starts, Node.js sets close-on-exec on those up to 15 and on what follows them without a gap, and opens
// descriptors of its own between them, all with close-on-exec.

const FIRST = 3;
const O_CLOEXEC = 0o2000000;
/** How many ancestors are asked whether they hold a pipe. */
const ANCESTORS_MAX = 16;

interface Descriptor {
  fd: number;
  /** What it refers to: a path, `pipe:[1234]`, `anon_inode:[eventpoll]`. */
  target: string;
  closeOnExec: boolean;
}

function descriptors(): Descriptor[] {
  const numbers = fs.readdirSync('/proc/self/fd').map(Number).filter((fd) => fd >= FIRST);
  return numbers.sort((a, b) => a - b).flatMap((fd) => {
    try {
      const flags = /^flags:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
      return { fd, target: fs.readlinkSync(`/proc/self/fd/${fd}`), closeOnExec: (parseInt(flags, 8) & O_CLOEXEC) !== 0 };
    } catch {
      return []; // that of the listing itself
    }
  });
}

/**
 * Closes what other processes have left open, but for `kept`. For a process that a Node.js has started: what that has
 * made close-on-exec is not there any more, and all descriptors of our own are.
 */
export function closeInherited(kept: number): void {
  for (const { fd, closeOnExec } of descriptors()) if (!closeOnExec && fd !== kept) fs.closeSync(fd);
}

/** What the caller has left open. To be called before this program opens anything. */
export function inheritedDescriptors(): number[] {
  const all = descriptors();
  // The first that Node.js opens.
  const firstOwn = all.find(({ target }) => target === 'anon_inode:[eventpoll]')?.fd ?? Infinity;
  const isOurs = ({ fd, target, closeOnExec }: Descriptor): boolean => {
    if (!closeOnExec || fd < firstOwn) return false;
    if (/^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/.test(target)) return true;
    // Node.js has both ends of its pipes, and so has make's client of the jobserver's.
    return target.startsWith('pipe:') && all.filter((each) => each.target === target).length > 1 && !ancestorHolds(target);
  };
  return all.filter((descriptor) => !isOurs(descriptor)).map(({ fd }) => fd);
}

function ancestorHolds(target: string): boolean {
  try {
    let pid = process.ppid;
    for (let i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
      const directory = `/proc/${pid}/fd`;
      if (fs.readdirSync(directory).some((fd) => linkOf(`${directory}/${fd}`) === target)) return true;
      pid = Number(/^PPid:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
    }
  } catch {
    // it has ended, or belongs to somebody whom we may not look at
  }
  return false;
}

function linkOf(file: string): string {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
}

// What other processes inherit from ours. Whoever starts this program as root may steer it with variables of Node's;
// what it starts itself is steered by none.

/** Where the system's programs are found, whatever PATH says. */
export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin';

/** The whole environment of a system program: iproute2 loads libraries from where TC_LIB_DIR and its like say. */
export const systemEnvironment = (): NodeJS.ProcessEnv => ({ PATH: SYSTEM_PATH, LC_ALL: 'C' });

/**
 * Variables with which Node, TypeScript, the dynamic linker, OpenSSL, glibc or a shell load code, open files or sockets
 * that nobody has named on the command line.
 */
const STEERING =
  /^(?:NODE_.*|TS_.*|TSC_.*|VSCODE_INSPECTOR_OPTIONS|V8_.*|UV_.*|ICU_.*|LD_.*|GLIBC_TUNABLES|MALLOC_.*|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|NIS_PATH|TZDIR|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|RESOLV_HOST_CONF|OPENSSL_.*|CTLOG_FILE|QLOGDIR|SSL_CERT_.*|SSLKEYLOGFILE|BASH_.*|BASHOPTS|SHELLOPTS|ENV|IFS|PS4|TC_LIB_DIR|IP_LIB_DIR)$/;

/** A PATH without what is looked up from the current directory. */
function absoluteDirectories(PATH: string | undefined): string {
  return (PATH ?? '').split(':').filter((directory) => directory.startsWith('/')).join(':') || SYSTEM_PATH;
}

/** The environment of what runs this program's code without a user in front of it: a daemon, the hooks' threads. */
export function programEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !STEERING.test(name));
  // Empty, for Node gives a child its own if there is none.
  return { ...Object.fromEntries(kept), PATH: absoluteDirectories(process.env['PATH']), NODE_OPTIONS: '', NODE_V8_COVERAGE: '' };
}

// The umask that the caller has given this process.

let callers: number | undefined;

/** It can only be read by setting it, which no worker thread may do. */
function callersUmask(): number {
  if (callers === undefined) {
    callers = process.umask(0o077);
    process.umask(callers);
  }
  return callers;
}

/** From now on the owner of what this process makes can read and write it: a umask of 0777 takes that away. */
export function leaveOwnerAlone(): void {
  process.umask(callersUmask() & 0o077);
}

/** Runs `body` with the caller's umask, for what it starts inherits that. */
export function withCallersUmask<T>(body: () => T): T {
  const present = process.umask(callersUmask());
  try {
    return body();
  } finally {
    process.umask(present);
  }
}

// The directory that users name files from. It may have been removed: then only names from the root mean anything.

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
