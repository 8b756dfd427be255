// SPDX-License-Identifier: MIT
import { statfsSync } from 'node:fs';
import { BpfError } from './errors';

/** BPF_FS_MAGIC (include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11;

/** A path that should be on a bpffs and is not; code `BPFFS_MISSING`. */
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

/** Whether `path` exists and lies on a bpffs. */
export function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type >>> 0 === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Throws {@link BpffsError}, which says how to mount one, unless `path` exists and lies on a bpffs. */
export function requireBpffs(path: string): void {
  let type: number;
  try {
    type = statfsSync(path).type >>> 0;
  } catch (cause) {
    throw new BpffsError(path, 'does not exist or cannot be reached', cause);
  }
  if (type !== BPF_FS_MAGIC) throw new BpffsError(path, 'is not on a BPF file system (bpffs)');
}
