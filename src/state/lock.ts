// SPDX-License-Identifier: MIT
/** File locks: the kernel releases them when their holder ends, however it ends. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { VnetError } from '../errors';
import { tryLock } from '../native/libc';
import { privateDirectory } from './paths';

export class FileLock implements Disposable {
  private constructor(private fd: number) {}

  /** Takes the lock, or returns null while somebody else has it. */
  static tryTake(file: string): FileLock | null {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW;
    const fd = fs.openSync(file, flags, 0o600);
    if (!tryLock(fd)) {
      fs.closeSync(fd);
      return null;
    }
    // Its last holder may have removed the file while we opened it: such a lock protects nothing.
    if (fs.statSync(file, { throwIfNoEntry: false })?.ino === fs.fstatSync(fd).ino) return new FileLock(fd);
    fs.closeSync(fd);
    return FileLock.tryTake(file);
  }

  /** Takes the lock, making its directory if need be and waiting up to `timeoutMs`; a BUSY error after that. */
  static take(file: string, timeoutMs: number): FileLock {
    const end = Date.now() + timeoutMs;
    for (;;) {
      privateDirectory(path.dirname(file));
      try {
        const lock = FileLock.tryTake(file);
        if (lock) return lock;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // the directory went just now
      }
      if (Date.now() >= end) {
        throw new VnetError('BUSY', 'lock', 'another vnet-bpf command is changing something right now', {
          hint: `wait for it to end; its lock is ${file}`,
        });
      }
      sleepSync(20);
    }
  }

  /** Whether somebody holds the lock. */
  static isHeld(file: string): boolean {
    if (!fs.existsSync(file)) return false;
    const lock = FileLock.tryTake(file);
    lock?.close();
    return lock === null;
  }

  close(): void {
    if (this.fd < 0) return;
    fs.closeSync(this.fd);
    this.fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the calling thread; for short waits in commands that do nothing else meanwhile. */
export function sleepSync(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
