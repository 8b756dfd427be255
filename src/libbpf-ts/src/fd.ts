// SPDX-License-Identifier: MIT
/** Descriptors: their owner, and pins of them on a BPF file system (bpffs). */
import { systemError, UsageError } from './errors';
import { lastErrno, libc } from './native/libc';

const F_DUPFD_CLOEXEC = 1030;

/** Owner of one file descriptor. */
export class OwnedFd implements Disposable {
  #fd: number;
  readonly #what: string;

  /** Takes ownership of `fd`. */
  constructor(fd: number, what: string) {
    this.#fd = fd;
    this.#what = what;
  }

  /** Owner of a duplicate (close-on-exec); the caller keeps the original. */
  static duplicate(fd: number, what: string): OwnedFd {
    const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 'int', 3);
    if (copy < 0) throw systemError('fcntl(F_DUPFD_CLOEXEC)', lastErrno());
    return new OwnedFd(copy, what);
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The descriptor; still owned here. Throws `BPF_USAGE` after close(). */
  get value(): number {
    if (this.#fd < 0) throw new UsageError(this.#what, 'is closed');
    return this.#fd;
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) libc.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
