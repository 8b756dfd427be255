// SPDX-License-Identifier: MIT
import { closeSync, openSync } from 'node:fs';

import { text } from './border';
import { systemError, UsageError } from './errors';
import { attachLink, type LinkKind } from './attach-link';
import { type Link } from './link';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

export interface CgroupTarget {
  /** Directory of a version 2 cgroup. */
  readonly path: string;
}

/**
 * Attaches a program to a cgroup and its descendants, beside others' programs (Linux 5.7).
 *
 * @throws BpfError: ENOENT if there is no such directory, EBADF if it is not a version 2 cgroup
 */
export function attachCgroup(program: BpfProgram, { path }: CgroupTarget): Link {
  const kind: LinkKind = {
    feature: 'links of cgroup programs',
    minimumKernel: '5.7',
    capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'],
  };
  const fd = openDirectory(path);
  try {
    return attachLink(program, `to cgroup ${path}`, kind, (it) => libbpf.bpf_program__attach_cgroup(it, fd));
  } finally {
    closeSync(fd);
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(text('attach to cgroup', 'path', path), 'r');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw systemError(`open ${path}`, errno);
  }
}
