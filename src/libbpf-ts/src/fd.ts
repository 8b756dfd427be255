// SPDX-License-Identifier: MIT
/** Descriptors: their owner, and their pins on a BPF file system (bpffs). */
import { closeSync, openSync, readlinkSync, statfsSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { isMainThread } from 'node:worker_threads';

import { descriptor, text } from './border';
import { BpfError, Errno, systemError, UsageError } from './errors';
import { lastErrno, libc } from './native/ffi';
import { libbpf } from './native/libbpf';

const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;

/** What is said about a descriptor whose owner was collected. */
interface Left {
  readonly fd: number;
  readonly what: string;
}

const abandoned = new FinalizationRegistry<Left>((left) => {
  // Later, because this also runs while a thread is being shut down; Node closes a worker's descriptors itself.
  setImmediate(closeLeft, left).unref();
});

/** What was warned of: once for each map, program or link of a name, and not for ever. */
const warned = new Set<string>();
const WARNINGS_MAX = 20;

function closeLeft({ fd, what }: Left): void {
  closeQuietly(fd);
  if (warned.has(what) || warned.size >= WARNINGS_MAX) return;
  warned.add(what);
  process.emitWarning(`${what} was garbage-collected before it was closed; call close(), or declare it with using`, {
    type: 'LibbpfTsWarning',
    code: 'LIBBPF_TS_NOT_CLOSED',
  });
}

/** Through Node, which keeps a list of the descriptors of a worker. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Somebody else has closed it.
  }
}

/**
 * In a worker, moves a descriptor to a number that Node closes when the worker ends, however it ends: Node knows those
 * that it has opened itself. With `trackUnmanagedFds: false` the worker's descriptors are left open.
 */
function tracked(fd: number): number {
  if (isMainThread) return fd;
  let known: number;
  try {
    known = openSync('/dev/null', 'r');
  } catch {
    return fd;
  }
  if (libc.dup3(fd, known, O_CLOEXEC) < 0) {
    closeQuietly(known);
    return fd;
  }
  libc.close(fd);
  return known;
}

/**
 * Owner of one file descriptor. It ends with its worker; one that is forgotten is closed when it is collected, with a
 * warning.
 */
export class OwnedFd implements Disposable {
  #fd: number;
  readonly #what: string;

  /** Takes ownership of `fd`. */
  constructor(fd: number, what: string) {
    this.#fd = tracked(fd);
    this.#what = what;
    abandoned.register(this, { fd: this.#fd, what }, this);
  }

  /** Owner of a duplicate (close-on-exec); the caller keeps the original. */
  static duplicate(fd: number, what: string): OwnedFd {
    const copy = libc.fcntl(descriptor(what, fd), F_DUPFD_CLOEXEC, 'int', 3);
    if (copy < 0) throw systemError(`duplicate the descriptor of ${what}`, lastErrno());
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
    if (fd < 0) return;
    abandoned.unregister(this);
    closeQuietly(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Runs something with a file or directory that is open for reading meanwhile. Throws BpfError, for example ENOENT. */
export function withOpen<Result>(path: string, action: (fd: number) => Result): Result {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw systemError(`open ${path}`, errno);
  }
  try {
    return action(fd);
  } finally {
    closeSync(fd);
  }
}

/** What a descriptor of bpf(2) can be. */
export type BpfKind = 'map' | 'program' | 'link';

const INODES: readonly (readonly [RegExp, BpfKind])[] = [
  [/^anon_inode:\[?bpf-map\]?$/, 'map'],
  [/^anon_inode:\[?bpf-prog\]?$/, 'program'],
  [/^anon_inode:\[?bpf.link\]?$/, 'link'],
];

/** What a descriptor is; undefined if it is nothing of bpf(2), or /proc does not say. */
export function kindOfFd(fd: number): BpfKind | undefined {
  try {
    const inode = readlinkSync(`/proc/self/fd/${fd}`);
    return INODES.find(([pattern]) => pattern.test(inode))?.[1];
  } catch {
    return undefined;
  }
}

/** Throws UsageError if a descriptor is a map, a program or a link, but not that which is wanted. */
export function requireKind(fd: number, wanted: BpfKind, operation: string): void {
  const kind = kindOfFd(fd);
  if (kind !== undefined && kind !== wanted) throw new UsageError(operation, `it is a ${kind}, not a ${wanted}`);
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
  text('pin', 'path', path);
  const error = libbpf.bpf_obj_pin(fd, path);
  if (error === 0) return;
  // bpf(2) reports EPERM for a file system of another type; requireBpffs() gives a better reason.
  if (-error === Errno.EPERM || -error === Errno.ENOENT || -error === Errno.EINVAL) requireBpffs(dirname(path));
  throw systemError(`pin ${path}`, error, ['CAP_BPF']);
}

/** Opens what is pinned at `path`, close-on-exec. Throws BpfError, for example ENOENT; `BPF_USAGE` for another kind. */
export function openPinnedFd(path: string, kind: BpfKind): OwnedFd {
  const operation = `open pinned ${text('open pinned', 'path', path)}`;
  const fd = libbpf.bpf_obj_get(path);
  if (fd < 0) throw systemError(operation, fd, ['CAP_BPF']);
  const owned = new OwnedFd(fd, `${kind} ${path}`);
  try {
    requireKind(owned.value, kind, operation);
  } catch (error) {
    owned.close();
    throw error;
  }
  return owned;
}

/** Removes a pin; does nothing if it is gone already. */
export function unpin(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
