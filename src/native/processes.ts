// SPDX-License-Identifier: MIT
/** Processes as /proc shows them, without starting another one. */
import * as fs from 'node:fs';

/** The pids of all processes. */
export const allPids = (): number[] =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** The inode of the network namespace of a process or thread in /proc; undefined once it has ended. */
function netnsOf(directory: string): number | undefined {
  try {
    return fs.statSync(`${directory}/ns/net`, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined; // it ends just now
  }
}

/** The thread of a process that was started first by its main thread, by its directory; null if there is none. */
function secondThread(pid: number): string | null {
  try {
    const second = fs.readdirSync(`/proc/${pid}/task`)[1];
    return second === undefined ? null : `/proc/${pid}/task/${second}`;
  } catch {
    return null; // it has ended
  }
}

/**
 * Whether a process is in the network namespace of that inode: with its main thread or with its second one, because the
 * main thread of a vnet-bpf is in other namespaces for moments.
 */
export function isInNetns(pid: number, inode: number): boolean {
  if (netnsOf(`/proc/${pid}`) === inode) return true;
  const second = secondThread(pid);
  return second !== null && netnsOf(second) === inode;
}

/** What the keys of a terminal reach: fields 5, 7 and 8 of proc_pid_stat(5). */
interface Job {
  processGroup: string;
  /** The controlling terminal; `0` if there is none. */
  terminal: string;
  /** The process group that is in the foreground of that terminal. */
  foreground: string;
}

/** Null if there is no such process, or no /proc. */
export function jobOf(pid: number | 'self'): Job | null {
  try {
    // The name of the program, which may hold anything, is in parentheses.
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '');
    const [, , processGroup = '', , terminal = '0', foreground = ''] = stat.split(' ');
    return { processGroup, terminal, foreground };
  } catch {
    return null;
  }
}
