// SPDX-License-Identifier: MIT
/** What this process inherits and passes on: descriptors, the environment, the umask, the working directory. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { VnetError } from '../errors';

// Descriptors beyond the standard ones that the caller has left open for this process: a lock, a pipe, the jobserver of
// make. When it starts, Node.js sets close-on-exec on those up to 15 and on those that follow without a gap. It opens
// descriptors of its own among them, all with close-on-exec.

const FIRST = 3;
const O_CLOEXEC = 0o2000000;
/** The most ancestors that are searched for the other end of a pipe. */
const ANCESTORS_MAX = 16;

interface Descriptor {
  fd: number;
  /** What it refers to: a path, `pipe:[1234]`, `anon_inode:[eventpoll]`. */
  target: string;
  closeOnExec: boolean;
}

function descriptors(): Descriptor[] {
  const numbers = fs
    .readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd >= FIRST);
  return numbers
    .sort((a, b) => a - b)
    .flatMap((fd) => {
      try {
        const flags = /^flags:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
        return {
          fd,
          target: fs.readlinkSync(`/proc/self/fd/${fd}`),
          closeOnExec: (parseInt(flags, 8) & O_CLOEXEC) !== 0,
        };
      } catch {
        return []; // the descriptor of the listing itself
      }
    });
}

/**
 * Closes what other processes have left open, except `kept`. For a process that was started by Node.js: descriptors
 * that Node.js has made close-on-exec are gone, and all that have that flag are our own.
 */
export function closeInherited(kept: readonly number[]): void {
  for (const { fd, closeOnExec } of descriptors()) if (!closeOnExec && !kept.includes(fd)) fs.closeSync(fd);
}

/** The descriptors that the caller has left open. To be called before this program opens anything. */
export function inheritedDescriptors(): number[] {
  const all = descriptors();
  // The first descriptor that Node.js opens.
  const firstOwn = all.find(({ target }) => target === 'anon_inode:[eventpoll]')?.fd ?? Infinity;
  // With its first stream, libuv opens /dev/null, to have one to give up when descriptors run out (loop->emfile_fd). Its
  // number is the lowest that is free then, behind all that Node.js has opened before.
  const isSpare = ({ fd, target }: Descriptor, i: number): boolean =>
    target === '/dev/null' && fd === FIRST + i && all[i + 1]?.fd !== fd + 1;
  const spare = all.find(isSpare);
  const isOurs = (descriptor: Descriptor): boolean => {
    const { fd, target, closeOnExec } = descriptor;
    if (!closeOnExec || fd < firstOwn) return false;
    if (descriptor === spare) return true;
    if (/^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/.test(target)) return true;
    // Node.js has both ends of its pipes. So has a client of make's jobserver, but there an ancestor holds the pipe,
    // too.
    return (
      target.startsWith('pipe:') && all.filter((each) => each.target === target).length > 1 && !ancestorHolds(target)
    );
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
    // the process has ended, or belongs to another user
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

// The environment of other processes. A caller that starts this program as root may steer it with variables of Node's;
// the programs that it starts itself are steered by none.

/** The PATH of the system's programs, whatever the caller's PATH is. */
export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin';

/**
 * The whole environment of a system program. No more, because iproute2 loads libraries from where TC_LIB_DIR and
 * similar variables say.
 */
export const systemEnvironment = (): NodeJS.ProcessEnv => ({ PATH: SYSTEM_PATH, LC_ALL: 'C' });

/**
 * Variables that make Node, TypeScript, the dynamic linker, OpenSSL, glibc or a shell load code, or open files or
 * sockets, that are not named on the command line.
 */
const STEERING =
  /^(?:NODE_.*|TS_.*|TSC_.*|VSCODE_INSPECTOR_OPTIONS|V8_.*|UV_.*|ICU_.*|LD_.*|GLIBC_TUNABLES|MALLOC_.*|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|NIS_PATH|TZDIR|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|RESOLV_HOST_CONF|OPENSSL_.*|CTLOG_FILE|QLOGDIR|SSL_CERT_.*|SSLKEYLOGFILE|BASH_.*|BASHOPTS|SHELLOPTS|ENV|IFS|PS4|TC_LIB_DIR|IP_LIB_DIR)$/;

/** A PATH without directories that depend on the current one. */
function absoluteDirectories(PATH: string | undefined): string {
  return (
    (PATH ?? '')
      .split(':')
      .filter((directory) => directory.startsWith('/'))
      .join(':') || SYSTEM_PATH
  );
}

/**
 * The environment of a process or thread that runs this program's code without a user in front of it: a daemon, the
 * threads of hooks.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !STEERING.test(name));
  // Empty rather than absent: Node gives a child its own value if there is none.
  return {
    ...Object.fromEntries(kept),
    PATH: absoluteDirectories(process.env['PATH']),
    NODE_OPTIONS: '',
    NODE_V8_COVERAGE: '',
  };
}

/**
 * The home directory of this process's user: HOME, or what the system's list of users says. Throws a VnetError if
 * neither names one, as for a user number that a container runtime has made up.
 */
export function homeDirectory({ HOME = '' }: NodeJS.ProcessEnv = process.env): string {
  if (path.isAbsolute(HOME)) return HOME;
  try {
    return os.userInfo().homedir;
  } catch (cause) {
    throw new VnetError('STATE', `home directory of user ${process.geteuid?.()}`, 'is not known, and HOME is not set', {
      hint: 'set HOME to the directory',
      cause,
    });
  }
}

// The umask that this process has from its caller.

let callers: number | undefined;

/** Reads the umask. That takes setting it, which no worker thread may do. */
function callersUmask(): number {
  if (callers === undefined) {
    callers = process.umask(0o077);
    process.umask(callers);
  }
  return callers;
}

/**
 * Makes sure that the owner of the files that this process makes can read and write them: a umask of 0777 takes that
 * away.
 */
export function leaveOwnerAlone(): void {
  process.umask(callersUmask() & 0o077);
}

/** Runs `body` with the caller's umask, which programs that it starts inherit. */
export function withCallersUmask<T>(body: () => T): T {
  const present = process.umask(callersUmask());
  try {
    return body();
  } finally {
    process.umask(present);
  }
}

// The directory from which users name files. If it has been removed, only absolute paths mean anything.

/** A descriptor of the directory that was removed, once this process has left it. */
let left: number | null = null;

/** The working directory; null if it has been removed. */
export function workingDirectory(): string | null {
  try {
    return left === null ? process.cwd() : null;
  } catch {
    return null;
  }
}

/**
 * The directory from which files are named, or a text that says why none can be named. Such a text does not begin with
 * a slash.
 */
export function namesBeginAt(): string {
  const directory = workingDirectory();
  if (directory === null) return 'the working directory has been removed';
  // Node.js replaces bytes that are no UTF-8 with U+FFFD, and another directory may have that name.
  const isUtf8 =
    !directory.includes('\ufffd') || fs.readlinkSync('/proc/self/cwd', 'buffer').equals(Buffer.from(directory));
  return isUtf8 ? directory : 'the name of the working directory is not UTF-8';
}

/** Changes to / if the working directory has been removed: Node.js can start no thread in it. */
export function leaveRemovedDirectory(): void {
  if (workingDirectory() !== null || left !== null) return;
  left = fs.openSync('.', fs.constants.O_DIRECTORY);
  process.chdir('/');
}

/** The caller's working directory, removed or not, for a process that is to be started. */
export const callersDirectory = (): string => (left === null ? '.' : `/proc/self/fd/${left}`);

/**
 * The absolute path of a file that a user has named. Throws a VnetError if its name depends on a directory from which
 * nothing can be named.
 */
export function absolutePath(file: string, directory = namesBeginAt()): string {
  if (path.isAbsolute(file)) return path.resolve(file);
  if (path.isAbsolute(directory)) return path.resolve(directory, file);
  throw new VnetError('STATE', `file ${file}`, directory, { hint: 'cd to another directory, or name the file from /' });
}
