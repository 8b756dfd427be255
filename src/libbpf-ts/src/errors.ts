// SPDX-License-Identifier: MIT
import { getSystemErrorMap } from 'node:util';

import { type Capability, kernelIsAtLeast, lackingCapabilities } from './kernel';
import { errnoNames, libc } from './native/ffi';
import { bounded, reasonOf } from './reasons';

/**
 * Errors unknown to libc: those that libbpf invents (`enum libbpf_errno`), and two that leak out of the kernel. And one
 * of which libuv says that a socket does not support the operation.
 */
const extra: Readonly<Record<number, readonly [string, string]>> = {
  77: ['EBADFD', 'file descriptor in bad state'],
  95: ['ENOTSUP', 'operation not supported'],
  512: ['ERESTARTSYS', 'interrupted by a signal'],
  524: ['ENOTSUPP', 'operation is not supported'],
  4000: ['LIBBPF_ERRNO__LIBELF', 'libelf failed: not an ELF file'],
  4001: ['LIBBPF_ERRNO__FORMAT', 'the BPF object is malformed'],
  4002: ['LIBBPF_ERRNO__KVERSION', 'bad or missing version section'],
  4003: ['LIBBPF_ERRNO__ENDIAN', 'the BPF object has the other byte order'],
  4004: ['LIBBPF_ERRNO__INTERNAL', 'internal error of libbpf'],
  4005: ['LIBBPF_ERRNO__RELOC', 'relocation failed'],
  4006: ['LIBBPF_ERRNO__LOAD', 'the program was not loaded'],
  4007: ['LIBBPF_ERRNO__VERIFY', 'the kernel verifier blocked the program'],
  4008: ['LIBBPF_ERRNO__PROG2BIG', 'the program is too big'],
  4009: ['LIBBPF_ERRNO__KVER', 'wrong kernel version'],
  4010: ['LIBBPF_ERRNO__PROGTYPE', 'the kernel does not have this program type'],
  4011: ['LIBBPF_ERRNO__WRNGPID', 'wrong pid in a netlink message'],
  4012: ['LIBBPF_ERRNO__INVSEQ', 'wrong sequence number in a netlink message'],
  4013: ['LIBBPF_ERRNO__NLPARSE', 'malformed netlink message'],
};

/** Symbolic name of a positive errno, for example `ENOENT`. */
export function errnoName(errno: number): string {
  const known = extra[errno];
  if (known) return known[0];
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** Description of a positive errno. */
export function errnoText(errno: number): string {
  const known = extra[errno]?.[1] ?? getSystemErrorMap().get(-errno)?.[1];
  return known ?? (errnoNames.has(errno) ? libc.strerror(errno).toLowerCase() : 'unknown error');
}

/** The errno values on which this package decides. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ERANGE: 34,
  ENOLINK: 67,
  EOPNOTSUPP: 95,
  ENOTSUPP: 524,
} as const;

export interface BpfErrorDetails {
  /** Stable code; `BPF_SYSCALL` unless something more precise is known. */
  readonly code?: string;
  /** Positive errno, 0 when no system call failed. */
  readonly errno?: number;
  /** The system call or library function, for example `bpf(BPF_MAP_CREATE)`. */
  readonly operation: string;
  /** What libbpf printed during the call, a line each. */
  readonly messages?: readonly string[];
  readonly cause?: unknown;
}

/** Characters of a message: names in it come from object files, which may be anyone's. */
const MESSAGE_MAX = 2000;
/** The names that a message lists, and the characters of each. */
const LISTED = 40;
const NAME_MAX = 128;

function listed(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, LISTED);
  const more = names.length - shown.length;
  return shown.map((name) => bounded(name, NAME_MAX)).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** Base of every error that this package throws for something that the kernel or libbpf refused. */
export class BpfError extends Error {
  override readonly name: string = 'BpfError';
  /** Stable code, on which programs can decide. */
  readonly code: string;
  /** Positive errno, 0 when no system call failed. */
  readonly errno: number;
  readonly errnoName: string;
  /** The system call or library function that failed. */
  readonly operation: string;
  /**
   * What libbpf printed during the call, a line each; the error's message has the lines that name the reason. Empty
   * where libbpf printed nothing, or its messages cannot be collected.
   */
  readonly messages: readonly string[];

  constructor(message: string, details: BpfErrorDetails) {
    super(bounded(message, MESSAGE_MAX), details.cause === undefined ? undefined : { cause: details.cause });
    this.messages = details.messages ?? [];
    this.code = details.code ?? 'BPF_SYSCALL';
    this.errno = details.errno ?? 0;
    this.errnoName = this.errno === 0 ? '' : errnoName(this.errno);
    this.operation = details.operation;
  }
}

/** The running kernel lacks a feature: it is older, or was built or configured without it. */
export class NotSupportedError extends BpfError {
  override readonly name = 'NotSupportedError';
  readonly feature: string;
  /** The first release that has it, for example `6.6`. */
  readonly minimumKernel: string;

  constructor(feature: string, minimumKernel: string, details: BpfErrorDetails) {
    const why = kernelIsAtLeast(minimumKernel)
      ? `Linux ${minimumKernel} can have it, but this one was built or configured without`
      : `requires Linux ${minimumKernel}`;
    super(`${feature} is not supported (${why})`, { ...details, code: 'BPF_NOT_SUPPORTED' });
    this.feature = feature;
    this.minimumKernel = minimumKernel;
  }
}

/** A map, program, constant or type that does not exist; the message lists those that do. */
export class UnknownNameError extends BpfError {
  override readonly name = 'UnknownNameError';
  readonly known: readonly string[];

  constructor(kind: string, wanted: string, known: readonly string[]) {
    const list = known.length === 0 ? `there is no ${kind}` : `there are: ${listed(known)}`;
    super(`no ${kind} is named "${bounded(wanted, NAME_MAX)}"; ${list}`, {
      code: 'BPF_UNKNOWN_NAME',
      operation: `find ${kind}`,
    });
    this.known = known;
  }
}

/** A BPF object file or BTF that is missing, unreadable or malformed. */
export class UnreadableObjectError extends BpfError {
  override readonly name = 'UnreadableObjectError';

  constructor(object: string, why: string, details: Partial<BpfErrorDetails> = {}) {
    super(`${object}: ${why}`, { operation: 'bpf_object__open', ...details, code: 'BPF_OBJECT' });
  }
}

/** A map whose layout is not the expected one. */
export class IncompatibleMapError extends BpfError {
  override readonly name = 'IncompatibleMapError';
  readonly differences: readonly string[];

  constructor(map: string, differences: readonly string[]) {
    super(`map ${map} is not compatible: ${differences.join(', ')}`, {
      code: 'BPF_MAP_INCOMPATIBLE',
      operation: 'bpf(BPF_OBJ_GET_INFO_BY_FD)',
    });
    this.differences = differences;
  }
}

/** A call that makes no sense now or with these arguments; the kernel was not asked. */
export class UsageError extends BpfError {
  override readonly name = 'UsageError';

  constructor(operation: string, why: string) {
    super(`${operation}: ${why}`, { code: 'BPF_USAGE', operation });
  }
}

/** An errno in words: `ENOENT (no such file or directory)`. */
export const errnoWords = (errno: number): string => `${errnoName(errno)} (${errnoText(errno)})`;

/**
 * The error for an errno; it names the missing capability if that is the reason, or else says what libbpf printed.
 *
 * @param operation the system call or library function
 * @param errno positive or negative errno
 * @param capabilities what the operation needs; consulted only for EPERM and EACCES
 * @param messages what libbpf printed during the call
 * @param advice what to do
 */
export function systemError(
  operation: string,
  errno: number,
  capabilities: readonly Capability[] = [],
  messages: readonly string[] = [],
  advice?: string,
): BpfError {
  const positive = Math.abs(errno);
  const what = `${operation}: ${errnoWords(positive)}`;
  if (positive === Errno.EPERM || positive === Errno.EACCES) {
    const lacking = lackingCapabilities(capabilities);
    if (lacking.length > 0) {
      return new BpfError(`${what}: this process lacks ${lacking.join(' and ')}`, {
        code: 'BPF_PERMISSION',
        errno: positive,
        operation,
        messages,
      });
    }
  }
  const reason = reasonOf(messages);
  const whole = [reason === undefined ? what : `${what}: ${reason}`, ...(advice === undefined ? [] : [advice])];
  return new BpfError(whole.join('; '), { errno: positive, operation, messages });
}

/** Returns a non-negative `result`, throws {@link systemError} for a negative errno. */
export function check(
  result: number,
  operation: string,
  capabilities: readonly Capability[] = [],
  messages: readonly string[] = [],
): number {
  if (result < 0) throw systemError(operation, result, capabilities, messages);
  return result;
}
