// SPDX-License-Identifier: MIT
import { dirname } from 'node:path';
import { requireBpffs } from './bpffs';
import { Errno } from './errno';
import { systemError } from './errors';
import { OwnedFd } from './fd';
import { libbpf } from './native/libbpf';

/**
 * Pins an object's descriptor at `path`, which must not exist yet, on a bpffs.
 *
 * @throws BpffsError (`BPFFS_MISSING`) if the directory is not on a bpffs; BpfError, for example EEXIST
 */
export function pinFd(fd: number, path: string): void {
  const error = libbpf.bpf_obj_pin(fd, path);
  if (error === 0) return;
  // bpf(2) reports EPERM for a file system of another type; the file system explains it better.
  if (-error === Errno.EPERM || -error === Errno.ENOENT || -error === Errno.EINVAL) requireBpffs(dirname(path));
  throw systemError(`pin ${path}`, error, ['CAP_BPF']);
}

/** Opens what is pinned at `path`; close-on-exec. Throws BpfError, for example ENOENT. */
export function openPinnedFd(path: string, what: string): OwnedFd {
  const fd = libbpf.bpf_obj_get(path);
  if (fd < 0) throw systemError(`open pinned ${path}`, fd, ['CAP_BPF']);
  return new OwnedFd(fd, what);
}
