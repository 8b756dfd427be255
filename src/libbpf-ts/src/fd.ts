// SPDX-License-Identifier: MIT
/** Descriptors: their owner, and their pins on a BPF file system (bpffs). */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';

import { BpfError, Errno, systemError, UsageError } from './errors';
import { lastErrno, libc } from './native/ffi';
import { libbpf } from './native/libbpf';

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

/** BPF_FS_MAGIC (include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11;

/** Reports a path that must be on a bpffs and is not; code `BPFFS_MISSING`. */
export class BpffsError extends BpfError {
  override readonly name = 'BpffsError';
  readonly path: string;

  constructor(path: string, why: string, cause?: unknown) {
    super(`${path} ${why}; mount one with: mount -t bpf bpf ${path}`, {
      code: 'BPFFS_MISSING',
      operation: 'statfs',
      cause,
    });
    this.path = path;
  }
}

/** Whether `path` exists and is on a bpffs. */
export function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type >>> 0 === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Throws {@link BpffsError}, which says how to mount one, unless `path` exists and is on a bpffs. */
export function requireBpffs(path: string): void {
  let type: number;
  try {
    type = statfsSync(path).type >>> 0;
  } catch (cause) {
    throw new BpffsError(path, 'does not exist or cannot be reached', cause);
  }
  if (type !== BPF_FS_MAGIC) throw new BpffsError(path, 'is not on a BPF file system (bpffs)');
}

/**
 * Pins an object's descriptor at `path`, which must not exist yet, on a bpffs.
 *
 * @throws BpffsError (`BPFFS_MISSING`) if the directory is not on a bpffs; BpfError, for example EEXIST
 */
export function pinFd(fd: number, path: string): void {
  const error = libbpf.bpf_obj_pin(fd, path);
  if (error === 0) return;
  // bpf(2) reports EPERM for a file system of another type; requireBpffs() gives a better reason.
  if (-error === Errno.EPERM || -error === Errno.ENOENT || -error === Errno.EINVAL) requireBpffs(dirname(path));
  throw systemError(`pin ${path}`, error, ['CAP_BPF']);
}

/** Opens the object pinned at `path`; close-on-exec. Throws BpfError, for example ENOENT. */
export function openPinnedFd(path: string, what: string): OwnedFd {
  const fd = libbpf.bpf_obj_get(path);
  if (fd < 0) throw systemError(`open pinned ${path}`, fd, ['CAP_BPF']);
  return new OwnedFd(fd, what);
}
