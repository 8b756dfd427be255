// SPDX-License-Identifier: MIT

import { text } from './border';
import { withOpen } from './fd';
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
  text('attach to cgroup', 'path', path);
  return withOpen(path, (fd) =>
    attachLink(program, `to cgroup ${path}`, kind, (it) => libbpf.bpf_program__attach_cgroup(it, fd)),
  );
}
