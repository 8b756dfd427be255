// SPDX-License-Identifier: MIT
/**
 * File locks: the kernel releases them when their holder ends, however it ends. Taking a lock whose file exists needs
 * no disk space.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { exhaustion, VnetError } from '../errors';
import { clock } from '../native/clock';
import { tryLock } from '../native/libc';
import { privateDirectory } from './paths';

/**
 * Flags to open the file of a lock. flock(2) needs no write access, which a read-only file system would not give. A
 * FIFO in its place must not block.
 */
const FLAGS = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;

export class FileLock implements Disposable {
  private constructor(private fd: number) {}

  /** Takes the lock, making its file if need be; null while it is held. */
  static tryTake(file: string): FileLock | null {
    return FileLock.tryOpen(file, FLAGS | fs.constants.O_CREAT);
  }

  private static tryOpen(file: string, flags: number, kind: 'exclusive' | 'shared' = 'exclusive'): FileLock | null {
    const fd = fs.openSync(file, flags, 0o600);
    if (!tryLock(fd, kind)) {
      fs.closeSync(fd);
      return null;
    }
    // The last holder may have removed the file while we opened it: such a lock protects nothing.
    if (fs.statSync(file, { throwIfNoEntry: false })?.ino === fs.fstatSync(fd).ino) return new FileLock(fd);
    fs.closeSync(fd);
    return FileLock.tryOpen(file, flags, kind);
  }

  /**
   * Takes the lock, making its directory if need be and waiting up to `timeoutMs`; throws BUSY after that. Blocks the
   * thread.
   */
  static take(file: string, timeoutMs: number): FileLock {
    const end = clock.now() + timeoutMs;
    for (;;) {
      privateDirectory(path.dirname(file));
      try {
        const lock = FileLock.tryTake(file);
        if (lock) return lock;
      } catch (error) {
        // ENOENT: the directory was removed just now
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw exhaustion(error, `lock ${file}`) ?? error;
      }
      if (clock.now() >= end) {
        const pid = FileLock.holder(file);
        const who = pid === null ? '' : `: process ${pid}`;
        throw new VnetError('BUSY', 'lock', `another vnet-bpf command is changing something right now${who}`, {
          hint: `wait for it to end; its lock is ${file}`,
        });
      }
      sleepSync(20);
    }
  }

  /** Whether the lock is held. Makes no file, and does not look like a holder to others who ask. */
  static isHeld(file: string): boolean {
    try {
      const lock = FileLock.tryOpen(file, FLAGS, 'shared');
      lock?.close();
      return lock === null;
    } catch (error) {
      const cannot = exhaustion(error, `lock ${file}`);
      if (cannot) throw cannot;
      return false; // there is no file, or something that cannot be locked
    }
  }

  /**
   * The pid of the process that holds the lock, as the kernel reports it; null if none that can be seen from here does.
   */
  static holder(file: string): number | null {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (!stat) return null;
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF
    for (const line of fs.readFileSync('/proc/locks', 'utf8').split('\n')) {
      const [, kind, , access, pid, where = ''] = line.split(/\s+/);
      const [major = '', minor = '', inode] = where.split(':');
      const device = deviceOf(parseInt(major, 16), parseInt(minor, 16));
      if (kind !== 'FLOCK' || access !== 'WRITE') continue;
      if (Number(pid) > 0 && Number(inode) === stat.ino && device === stat.dev) return Number(pid);
    }
    return null;
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

/** Puts the two numbers of a device into one, as stat(2) does (gnu_dev_makedev). */
const deviceOf = (major: number, minor: number): number =>
  (minor & 0xff) + (major & 0xfff) * 0x100 + (minor >>> 8) * 0x100000;

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the calling thread; for short waits in commands that do nothing else meanwhile. */
export function sleepSync(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
