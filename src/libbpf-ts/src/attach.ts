// SPDX-License-Identifier: MIT
import { closeSync, existsSync, openSync } from 'node:fs';
import { Link } from './bpf-link';
import type { Capability } from './capabilities';
import { Errno } from './errno';
import { BpfError, NotSupportedError, systemError } from './errors';
import { kernelIsAtLeast } from './kernel';
import { lastErrno } from './native/libc';
import type { Address } from './native/libc';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { handleOf } from './program-handle';

/*
 * A program to attach comes from BpfObject.program(), and its object is still open: libbpf reads there what kind of
 * program it is. The object may be closed afterwards.
 */

export interface XdpTarget {
  /** Index of the device in the calling thread's network namespace. */
  readonly ifindex: number;
}

export interface TracepointTarget {
  /** Directory in /sys/kernel/tracing/events, for example `sched`. */
  readonly category: string;
  /** Directory below it, for example `sched_process_exec`. */
  readonly name: string;
}

export interface KprobeTarget {
  /** Name of a kernel function, as in /proc/kallsyms. */
  readonly function: string;
  /** Whether to run when the function returns (kretprobe), instead of when it is called. */
  readonly onReturn?: boolean;
}

export interface CgroupTarget {
  /** Directory of a cgroup, version 2. */
  readonly path: string;
}

interface Kind {
  readonly feature: string;
  readonly minimumKernel: string;
  readonly capabilities: readonly Capability[];
}

/**
 * Attaches an XDP program to a network device: in the driver where it can, else in the network stack (Linux 5.9).
 *
 * @throws BpfError: EINVAL for no such device, EBUSY if it has an XDP program already; NotSupportedError
 */
export function attachXdp(program: BpfProgram, { ifindex }: XdpTarget): Link {
  const kind: Kind = { feature: 'links of XDP programs', minimumKernel: '5.9', capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'] };
  return attach(program, `to device ${ifindex} (XDP)`, kind, (it) => libbpf.bpf_program__attach_xdp(it, ifindex));
}

/** Where tracefs is mounted, as a rule and in older systems; libbpf looks there. */
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** Attaches to a tracepoint (Linux 4.7). Throws BpfError: ENOENT for no such tracepoint, and where no tracefs is mounted. */
export function attachTracepoint(program: BpfProgram, { category, name }: TracepointTarget): Link {
  const kind = tracing('tracepoints', '4.7');
  const where = `to tracepoint ${category}:${name}`;
  try {
    return attach(program, where, kind, (it) => libbpf.bpf_program__attach_tracepoint(it, category, name));
  } catch (error) {
    // Only then: who may not look into tracefs is refused by EACCES, though for him there is none either.
    if (!(error instanceof BpfError && error.errno === Errno.ENOENT) || TRACEFS.some((directory) => existsSync(`${directory}/events`))) throw error;
    const operation = operationOf(program, where);
    throw new BpfError(`${operation}: there is no tracefs; mount -t tracefs tracefs ${TRACEFS[0]}`, { errno: Errno.ENOENT, operation });
  }
}

/**
 * Attaches to the call or the return of a kernel function (Linux 4.1).
 *
 * @throws BpfError: ENOENT for no such function; NotSupportedError if the kernel was built without kprobes
 */
export function attachKprobe(program: BpfProgram, target: KprobeTarget): Link {
  const kind = tracing('tracing with kprobes (CONFIG_KPROBE_EVENTS)', '4.1');
  const where = `to ${target.function} (${target.onReturn ? 'kretprobe' : 'kprobe'})`;
  // ENOENT would not say whether the function is missing or all of it.
  const tracefs = TRACEFS.map((directory) => `${directory}/kprobe_events`);
  if (!['/sys/bus/event_source/devices/kprobe', ...tracefs].some(existsSync)) {
    throw new NotSupportedError(kind.feature, kind.minimumKernel, { operation: operationOf(program, where), errno: Errno.ENOENT });
  }
  return attach(program, where, kind, (it) =>
    libbpf.bpf_program__attach_kprobe(it, target.onReturn ?? false, target.function),
  );
}

/**
 * Attaches a program to what its section names: `fentry/FUNCTION`, `fexit/FUNCTION`, `fmod_ret/FUNCTION` or
 * `tp_btf/TRACEPOINT` (Linux 5.5; arm64 6.0). load() has found it in the kernel's BTF already.
 */
export function attachTrace(program: BpfProgram): Link {
  const kind = tracing('tracing through BPF trampolines (fentry, fexit)', '5.5');
  return attach(program, 'to the target of its section (BTF)', kind, (it) => libbpf.bpf_program__attach_trace(it));
}

/**
 * Attaches a program to a cgroup and all below it, next to others' programs (Linux 5.7).
 *
 * @throws BpfError: ENOENT for no such directory, EBADF for one that is no cgroup of version 2
 */
export function attachCgroup(program: BpfProgram, { path }: CgroupTarget): Link {
  const kind: Kind = { feature: 'links of cgroup programs', minimumKernel: '5.7', capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'] };
  const fd = openDirectory(path);
  try {
    return attach(program, `to cgroup ${path}`, kind, (it) => libbpf.bpf_program__attach_cgroup(it, fd));
  } finally {
    closeSync(fd);
  }
}

function tracing(feature: string, minimumKernel: string): Kind {
  return { feature, minimumKernel, capabilities: ['CAP_BPF', 'CAP_PERFMON'] };
}

function openDirectory(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw systemError(`open ${path}`, errno);
  }
}

const operationOf = (program: BpfProgram, where: string): string => `attach ${program.name} ${where}`;

/** @param call gives a `struct bpf_link *`, or 0 and errno */
function attach(program: BpfProgram, where: string, kind: Kind, call: (handle: Address) => Address): Link {
  const operation = operationOf(program, where);
  const link = call(handleOf(program));
  if (link !== 0) return new Link(link);
  const errno = lastErrno();
  // ENOTSUPP is a kernel that cannot; EINVAL has many reasons, of which an old kernel is one.
  const old = errno === Errno.EINVAL && !kernelIsAtLeast(kind.minimumKernel);
  if (errno === Errno.ENOTSUPP || old) throw new NotSupportedError(kind.feature, kind.minimumKernel, { operation, errno });
  throw systemError(operation, errno, kind.capabilities);
}
