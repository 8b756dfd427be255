// SPDX-License-Identifier: MIT
/** Attaching a program to what its section names. */
import { BpfError, Errno, UsageError } from './errors';
import { attachError, attachLink, attachOperation } from './attach-link';
import { Link } from './link';
import type { Address } from './native/ffi';
import { calling, libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

/** Registers a struct_ops map. @param handle a `struct bpf_map *` of a loaded object */
export function attachMap(name: string, handle: Address): Link {
  const { result, errno, messages } = calling((library) => library.bpf_map__attach_struct_ops(handle));
  if (result !== 0) return Link.fromHandle(result);
  const kind = { feature: 'struct_ops', minimumKernel: '5.6', capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'] } as const;
  throw attachError(`attach ${name} (struct_ops)`, errno, kind, messages);
}

/**
 * Attaches a program to what its section names, as libbpf understands it: `tracepoint/sched/sched_switch`,
 * `kprobe/do_unlinkat`, `ksyscall/openat`, `fentry/...`, `lsm/file_open`, `iter/task`, `raw_tp/sys_enter`,
 * `uprobe//bin/bash:readline`, `usdt/libc.so.6:libc:setjmp` and so on.
 *
 * @returns undefined if the section names no place, as `xdp`, `tc` and `cgroup/...` do
 * @throws BpfError, for example ENOENT if there is no such function
 */
export function attachBySection(program: BpfProgram): Link | undefined {
  const kind = {
    feature: 'this kind of attachment',
    minimumKernel: '4.1',
    capabilities: ['CAP_BPF', 'CAP_PERFMON'],
  } as const;
  try {
    return attachLink(program, BY_SECTION, kind, (it) => libbpf.bpf_program__attach(it));
  } catch (error) {
    if (error instanceof BpfError && error.errno === Errno.EOPNOTSUPP) return undefined;
    throw error;
  }
}

/** As attachBySection(). Throws UsageError if the section names no place. */
export function requireAttachBySection(program: BpfProgram): Link {
  const link = attachBySection(program);
  if (link) return link;
  throw new UsageError(
    attachOperation(program, BY_SECTION),
    'the section names no place; use the function for this kind of program, such as attachXdp() or attachTc()',
  );
}

const BY_SECTION = 'to what its section names';
