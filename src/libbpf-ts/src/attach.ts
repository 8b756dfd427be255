// SPDX-License-Identifier: MIT
import { BpfError, Errno } from './errors';
import { attachLink, type Link } from './link';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

/**
 * Attaches a program to what its section names, as libbpf does: `tracepoint/sched/sched_process_exec`,
 * `kprobe/do_unlinkat`, `fentry/...`, `raw_tp/...` and so on.
 *
 * @returns undefined if the section names nothing to attach to, as `xdp` and `tc`
 * @throws BpfError, for example ENOENT if there is no such function
 */
export function attachBySection(program: BpfProgram): Link | undefined {
  const kind = { feature: 'this attachment', minimumKernel: '4.1', capabilities: ['CAP_BPF', 'CAP_PERFMON'] } as const;
  try {
    return attachLink(program, 'to what its section names', kind, (it) => libbpf.bpf_program__attach(it));
  } catch (error) {
    if (error instanceof BpfError && error.errno === Errno.EOPNOTSUPP) return undefined;
    throw error;
  }
}
