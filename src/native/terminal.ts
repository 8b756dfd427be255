// SPDX-License-Identifier: MIT
/**
 * The terminal on the standard streams, if there is one: what it can show, its colours, and what happens to this
 * process when it goes.
 */
import * as fs from 'node:fs';

import { jobOf } from './processes';

const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
/**
 * The major number of /dev/null, /dev/full and the like; all other character devices that a user has there are
 * terminals.
 */
const MEMORY_DEVICES = 1;

/** Whether a file looks like a terminal. Node's isatty(3) would know, but takes 8 ms to load. */
export const isTerminal = (stat: fs.Stats): boolean => stat.isCharacterDevice() && stat.rdev >> 8 !== MEMORY_DEVICES;

function terminals(): number[] {
  return [0, 1, 2].filter((fd) => {
    try {
      return isTerminal(fs.fstatSync(fd));
    } catch {
      return false;
    }
  });
}

export const hasTerminal = (): boolean => terminals().length > 0;

function hasHungUp(fd: number): boolean {
  try {
    fs.closeSync(fs.openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EIO';
  }
}

/**
 * Whether this process is in the foreground of its terminal: its process group has the terminal, and keys reach every
 * process of the group. Otherwise, as in the background of a shell, other processes have the terminal. Without /proc,
 * true: a rescue shell has no background.
 */
export function inForeground(): boolean {
  const own = jobOf('self');
  return own === null || (own.terminal !== '0' && own.processGroup === own.foreground);
}

/** Whether the keys that send a signal, such as Ctrl-C, reach both this process and another one. */
export const keysReachUsAnd = (pid: number): boolean =>
  inForeground() && jobOf(pid)?.processGroup === jobOf('self')?.processGroup;

/** Whether another program, started by this process, has the terminal as its own. */
let isShared = false;

/** Makes this process leave the terminal at its end with the modes that a program has given it, as stty(1) does. */
export function shareTerminal(): void {
  isShared = true;
}

/**
 * Makes this process leave the terminal alone at its end, if the terminal has gone or other processes have it.
 * Otherwise Node.js sets the modes that the terminal had at the start, whoever has changed them since, and aborts if it
 * cannot.
 */
export function leaveTerminalOfOthers(): void {
  if (!hasTerminal()) return;
  const last = (code: number): void => {
    if (!isShared && inForeground() && !terminals().some(hasHungUp)) return;
    for (const listener of process.listeners('exit')) if (listener !== last) listener.call(process, code);
    (require('./libc') as typeof import('./libc')).exitAtOnce(code);
  };
  process.on('exit', last);
}

/** The environment, which shows what a terminal supports. It is a parameter, so that the functions below are pure. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Terminfo entries without colours: the DEC terminals, and variants such as `xterm-mono` or `linux-nc`. */
const MONOCHROME = /^vt\d|-(m|mono|nc)$/;

/** Terminals without eighths of a block in their fonts: the Linux console and DEC terminals. */
const WITHOUT_BLOCKS = /^(linux|vt\d)/;

const terminalOf = (environment: Environment): string => environment['TERM'] ?? '';

/** Whether the cursor can be moved. */
export const movesCursor = (environment: Environment): boolean =>
  !['', 'dumb', 'unknown'].includes(terminalOf(environment));

/** Whether colours may be used: NO_COLOR forbids them unless it is empty (no-color.org). */
export const showsColours = (environment: Environment): boolean =>
  !environment['NO_COLOR'] && movesCursor(environment) && !MONOCHROME.test(terminalOf(environment));

/** Whether block characters such as U+2581 are shown. The locale is looked up in the order of setlocale(3). */
export function showsBlocks(environment: Environment): boolean {
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  return /utf-?8/i.test(locale) && movesCursor(environment) && !WITHOUT_BLOCKS.test(terminalOf(environment));
}
