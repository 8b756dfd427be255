// SPDX-License-Identifier: MIT
/** Programs that run when the kernel comes to a place of its own code. */
import { existsSync } from 'node:fs';

import { integer, MAX_INT, text } from './border';
import { BpfError, Errno, NotSupportedError, UsageError } from './errors';
import { attachLink, attachOperation, type LinkKind } from './attach-link';
import { type Link } from './link';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

/** A number of up to 64 bits, which the program reads with bpf_get_attach_cookie(). */
export type Cookie = number | bigint;

export interface TracepointTarget {
  /** Directory in /sys/kernel/tracing/events, for example `sched`. */
  readonly category: string;
  /** Directory below it, for example `sched_process_exec`. */
  readonly name: string;
  /** Linux 5.15. */
  readonly cookie?: Cookie;
}

export interface KprobeTarget {
  /** Name of a kernel function, as in /proc/kallsyms. */
  readonly function: string;
  /** Whether to run when the function returns (kretprobe), instead of when it is called. */
  readonly onReturn?: boolean;
  /** Bytes from the beginning of the function to the instruction; 0 unless given. */
  readonly offset?: number;
  /** Linux 5.15. */
  readonly cookie?: Cookie;
}

/** Either `pattern` or `functions`. */
export interface KprobeMultiTarget {
  /** Names with `*` and `?`, such as `tcp_v4_*`. */
  readonly pattern?: string;
  readonly functions?: readonly string[];
  /** One for each of `functions`. */
  readonly cookies?: readonly Cookie[];
  readonly onReturn?: boolean;
}

export interface KsyscallTarget {
  /** Name without the prefix of the processor, such as `openat`. */
  readonly syscall: string;
  readonly onReturn?: boolean;
  readonly cookie?: Cookie;
}

/** Where tracefs is mounted, usually and on older systems; libbpf looks there. */
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

const MAX_U64 = (1n << 64n) - 1n;

/** Checks a cookie. */
export function cookieOf(operation: string, cookie: Cookie = 0): bigint {
  if (typeof cookie === 'number' && !Number.isSafeInteger(cookie))
    throw new UsageError(operation, `cookie is ${cookie}, not a safe integer; a bigint has 64 bits`);
  const wide = BigInt(cookie);
  if (wide >= 0n && wide <= MAX_U64) return wide;
  throw new UsageError(operation, `cookie is ${cookie}, not an unsigned integer of 64 bits`);
}

/**
 * Attaches to a tracepoint (Linux 4.7). Throws BpfError: ENOENT if there is no such tracepoint, or no tracefs is
 * mounted.
 */
export function attachTracepoint(program: BpfProgram, { category, name, cookie }: TracepointTarget): Link {
  text('attach tracepoint', 'category', category);
  text('attach tracepoint', 'name', name);
  const kind = tracing('tracepoints', cookie === undefined ? '4.7' : '5.15');
  const where = `to tracepoint ${category}:${name}`;
  // bpf_tracepoint_opts
  const options = new CStruct(16, true).setU64(8, cookieOf('attach tracepoint', cookie));
  try {
    return attachLink(program, where, kind, (it) =>
      libbpf.bpf_program__attach_tracepoint_opts(it, category, name, options.bytes),
    );
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
 * Attaches to a tracepoint's own arguments, before they are made into those of {@link attachTracepoint} (Linux 4.17).
 *
 * @param name such as `sched_switch` or `sys_enter`
 * @throws BpfError: ENOENT or EINVAL if there is no such tracepoint
 */
export function attachRawTracepoint(program: BpfProgram, name: string): Link {
  text('attach raw tracepoint', 'name', name);
  const kind = tracing('raw tracepoints', '4.17');
  return attachLink(program, `to raw tracepoint ${name}`, kind, (it) =>
    libbpf.bpf_program__attach_raw_tracepoint(it, name),
  );
}

/**
 * Attaches to the call or the return of a kernel function (Linux 4.1).
 *
 * @throws BpfError: ENOENT if there is no such function; NotSupportedError if the kernel was built without kprobes
 */
export function attachKprobe(program: BpfProgram, target: KprobeTarget): Link {
  const operation = 'attach kprobe';
  const name = text(operation, 'function', target.function);
  const onReturn = target.onReturn ?? false;
  const where = `to ${name} (${onReturn ? 'kretprobe' : 'kprobe'})`;
  const kind = kprobes(program, where, target.cookie === undefined ? '4.1' : '5.15');
  // bpf_kprobe_opts
  const options = new CStruct(32, true)
    .setU64(8, cookieOf(operation, target.cookie))
    .setU64(16, integer(operation, 'offset', target.offset ?? 0, 0, MAX_INT))
    .setU32(24, Number(onReturn));
  return attachLink(program, where, kind, (it) => libbpf.bpf_program__attach_kprobe_opts(it, name, options.bytes));
}

/**
 * Attaches to many kernel functions at once (Linux 5.18), which takes milliseconds where as many kprobes would take
 * minutes. The program's section is `kprobe.multi` or `kretprobe.multi`.
 *
 * @throws BpfError: ENOENT if no function is so called
 */
export function attachKprobeMulti(program: BpfProgram, target: KprobeMultiTarget): Link {
  const operation = 'attach kprobes';
  const { pattern = null, functions = [], cookies = [], onReturn = false } = target;
  if ((pattern === null) === (functions.length === 0))
    throw new UsageError(operation, 'either pattern or functions says which');
  if (cookies.length > 0 && cookies.length !== functions.length)
    throw new UsageError(operation, `${cookies.length} cookies for ${functions.length} functions`);
  if (pattern !== null) text(operation, 'pattern', pattern);
  const where = `to ${pattern ?? `${functions.length} functions`} (kprobe.multi)`;
  const kind = kprobes(program, where, '5.18');
  // bpf_kprobe_multi_opts: syms, addrs, cookies, cnt, retprobe
  const options = new CStruct(48, true).setU64(32, functions.length).setU32(40, Number(onReturn));
  if (functions.length > 0) {
    const names = new CStruct(8 * functions.length);
    functions.forEach((name, i) => names.setPointer(8 * i, text(operation, `functions[${i}]`, name)));
    options.setPointer(8, names);
  }
  if (cookies.length > 0) {
    const numbers = new CStruct(8 * cookies.length);
    cookies.forEach((cookie, i) => numbers.setU64(8 * i, cookieOf(operation, cookie)));
    options.setPointer(24, numbers);
  }
  return attachLink(program, where, kind, (it) =>
    libbpf.bpf_program__attach_kprobe_multi_opts(it, pattern, options.bytes),
  );
}

/** Attaches to the call or the return of a system call, whatever the kernel calls its function (Linux 4.1). */
export function attachKsyscall(program: BpfProgram, target: KsyscallTarget): Link {
  const operation = 'attach ksyscall';
  const name = text(operation, 'syscall', target.syscall);
  const where = `to system call ${name}`;
  const kind = kprobes(program, where, target.cookie === undefined ? '4.1' : '5.15');
  // bpf_ksyscall_opts
  const options = new CStruct(24, true)
    .setU64(8, cookieOf(operation, target.cookie))
    .setU32(16, Number(target.onReturn ?? false));
  return attachLink(program, where, kind, (it) => libbpf.bpf_program__attach_ksyscall(it, name, options.bytes));
}

/**
 * Attaches a program to the target in its section name: `fentry/FUNCTION`, `fexit/FUNCTION`, `fmod_ret/FUNCTION` or
 * `tp_btf/TRACEPOINT` (Linux 5.5; arm64 6.0). load() has already found the target in the kernel's BTF.
 *
 * @param options.cookie Linux 6.0
 */
export function attachTrace(program: BpfProgram, { cookie }: { readonly cookie?: Cookie } = {}): Link {
  const kind = tracing('tracing through BPF trampolines (fentry, fexit)', cookie === undefined ? '5.5' : '6.0');
  // bpf_trace_opts
  const options = new CStruct(16, true).setU64(8, cookieOf('attach trace', cookie));
  return attachLink(program, 'to the target of its section (BTF)', kind, (it) =>
    cookie === undefined
      ? libbpf.bpf_program__attach_trace(it)
      : libbpf.bpf_program__attach_trace_opts(it, options.bytes),
  );
}

/**
 * Attaches a program to the security hook in its section name, `lsm/HOOK` (Linux 5.7). `bpf` must be among the modules
 * in /sys/kernel/security/lsm for the kernel to ask it.
 */
export function attachLsm(program: BpfProgram): Link {
  const kind = tracing('BPF as a security module (CONFIG_BPF_LSM)', '5.7');
  return attachLink(program, 'to the security hook of its section', kind, (it) => libbpf.bpf_program__attach_lsm(it));
}

/**
 * Puts a program of a section `freplace/...` in the place of a global function of another program that is loaded
 * (Linux 5.10).
 */
export function attachFreplace(program: BpfProgram, target: { program: BpfProgram; function: string }): Link {
  const name = text('attach freplace', 'function', target.function);
  const kind = tracing('replacing functions of BPF programs (freplace)', '5.10');
  return attachLink(program, `in place of ${name} of ${target.program.name}`, kind, (it) =>
    libbpf.bpf_program__attach_freplace(it, target.program.fd, name),
  );
}

/** What kprobes need; throws NotSupportedError if the kernel was built without: ENOENT would not tell. */
function kprobes(program: BpfProgram, where: string, minimumKernel: string): LinkKind {
  const kind = tracing('tracing with kprobes (CONFIG_KPROBE_EVENTS)', minimumKernel);
  const tracefs = TRACEFS.map((directory) => `${directory}/kprobe_events`);
  if (['/sys/bus/event_source/devices/kprobe', ...tracefs].some(existsSync)) return kind;
  throw new NotSupportedError(kind.feature, kind.minimumKernel, {
    operation: attachOperation(program, where),
    errno: Errno.ENOENT,
  });
}

/** What tracing needs. */
export function tracing(feature: string, minimumKernel: string): LinkKind {
  return { feature, minimumKernel, capabilities: ['CAP_BPF', 'CAP_PERFMON'] };
}
