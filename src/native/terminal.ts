// SPDX-License-Identifier: MIT
/** The terminal on the standard streams, if there is one: what it can show, its colours, and what becomes of this process when it goes. */
import * as fs from 'node:fs';

const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
/** Of /dev/null, /dev/full and their like; all other character devices that a user has there are terminals. */
const MEMORY_DEVICES = 1;

/** As far as that shows at a glance: isatty(3) of Node's takes 8 ms to load. */
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
 * Whether the terminal of this process is at its disposal: its process group is the one in the foreground. Keys then
 * reach every process of the group. Elsewhere, as in the background of a shell, others have the terminal.
 */
export function inForeground(): boolean {
  // Behind the name, which may hold anything: fields 5, 7 and 8 of proc_pid_stat(5).
  const fields = fs.readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ');
  const [group, terminal, foreground] = [fields[2], fields[4], fields[5]];
  return terminal !== '0' && group === foreground;
}

/**
 * Lets this process end and leave the terminal alone where that has gone or is at the disposal of others: at its end
 * Node.js gives the terminal the modes that it had at the start, whoever has changed them since, and aborts if it cannot.
 */
export function leaveTerminalOfOthers(): void {
  if (!hasTerminal()) return;
  const last = (code: number): void => {
    if (inForeground() && !terminals().some(hasHungUp)) return;
    for (const listener of process.listeners('exit')) if (listener !== last) listener.call(process, code);
    (require('./libc') as typeof import('./libc')).exitAtOnce(code);
  };
  process.on('exit', last);
}
