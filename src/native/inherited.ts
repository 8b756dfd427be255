// SPDX-License-Identifier: MIT
/** What this process inherits and hands on: descriptors, the environment, the umask, the working directory. */
import * as fs from 'node:fs';

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
