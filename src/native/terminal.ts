// SPDX-License-Identifier: MIT
/** The terminal on the standard streams, if there is one, and what becomes of this process when it goes. */
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

/** Lets this process end with its exit code, too, where its terminal has gone: Node.js gives the terminal its modes back, and aborts if it cannot. */
export function endWithoutTerminal(): void {
  if (!hasTerminal()) return;
  process.once('exit', (code) => {
    if (terminals().some(hasHungUp)) (require('./libc') as typeof import('./libc')).exitAtOnce(code);
  });
}
