// SPDX-License-Identifier: MIT
import { existsSync } from 'node:fs';

import { text } from './border';
import { BpfError, Errno, NotSupportedError } from './errors';
import { attachLink, attachOperation, type Link, type LinkKind } from './link';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

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

/** Where tracefs is mounted, usually and on older systems; libbpf looks there. */
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/**
 * Attaches to a tracepoint (Linux 4.7). Throws BpfError: ENOENT if there is no such tracepoint, or no tracefs is
 * mounted.
 */
export function attachTracepoint(program: BpfProgram, { category, name }: TracepointTarget): Link {
  text('attach tracepoint', 'category', category);
  text('attach tracepoint', 'name', name);
  const kind = tracing('tracepoints', '4.7');
  const where = `to tracepoint ${category}:${name}`;
  try {
    return attachLink(program, where, kind, (it) => libbpf.bpf_program__attach_tracepoint(it, category, name));
  } catch (error) {
    // Only ENOENT: a user who may not read tracefs gets EACCES, and cannot see its directories either.
    if (
      !(error instanceof BpfError && error.errno === Errno.ENOENT) ||
      TRACEFS.some((directory) => existsSync(`${directory}/events`))
    )
      throw error;
    const operation = attachOperation(program, where);
    throw new BpfError(`${operation}: there is no tracefs; mount -t tracefs tracefs ${TRACEFS[0]}`, {
      errno: Errno.ENOENT,
      operation,
    });
  }
}

/**
 * Attaches to the call or the return of a kernel function (Linux 4.1).
 *
 * @throws BpfError: ENOENT if there is no such function; NotSupportedError if the kernel was built without kprobes
 */
export function attachKprobe(program: BpfProgram, target: KprobeTarget): Link {
  text('attach kprobe', 'function', target.function);
  const kind = tracing('tracing with kprobes (CONFIG_KPROBE_EVENTS)', '4.1');
  const where = `to ${target.function} (${target.onReturn ? 'kretprobe' : 'kprobe'})`;
  // ENOENT would not tell a missing function from missing kprobes.
  const tracefs = TRACEFS.map((directory) => `${directory}/kprobe_events`);
  if (!['/sys/bus/event_source/devices/kprobe', ...tracefs].some(existsSync)) {
    throw new NotSupportedError(kind.feature, kind.minimumKernel, {
      operation: attachOperation(program, where),
      errno: Errno.ENOENT,
    });
  }
  return attachLink(program, where, kind, (it) =>
    libbpf.bpf_program__attach_kprobe(it, target.onReturn ?? false, target.function),
  );
}

/**
 * Attaches a program to the target in its section name: `fentry/FUNCTION`, `fexit/FUNCTION`, `fmod_ret/FUNCTION` or
 * `tp_btf/TRACEPOINT` (Linux 5.5; arm64 6.0). load() has already found the target in the kernel's BTF.
 */
export function attachTrace(program: BpfProgram): Link {
  const kind = tracing('tracing through BPF trampolines (fentry, fexit)', '5.5');
  return attachLink(program, 'to the target of its section (BTF)', kind, (it) => libbpf.bpf_program__attach_trace(it));
}

function tracing(feature: string, minimumKernel: string): LinkKind {
  return { feature, minimumKernel, capabilities: ['CAP_BPF', 'CAP_PERFMON'] };
}
