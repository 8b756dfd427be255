// SPDX-License-Identifier: MIT
/** Every error that a user can meet; `code` is stable, the words are not. */
export type ErrorCode =
  | 'USAGE'
  | 'NOT_ROOT'
  | 'MISSING_CAPABILITY'
  | 'UNSUPPORTED'
  | 'NO_SUCH_NETNS'
  | 'INTERFACE_REFUSED'
  | 'ALREADY_ATTACHED'
  | 'NOT_ATTACHED'
  | 'BPFFS'
  | 'BPF_OBJECT'
  | 'LIBBPF_MISSING'
  | 'LIBBPF_TOO_OLD'
  | 'LIBPCAP_MISSING'
  | 'VERIFIER'
  | 'COMMAND_FAILED'
  | 'SYSCALL'
  | 'STATE'
  | 'INTERFACE_GONE'
  | 'INTERRUPTED'
  | 'HOOK'
  | 'EXPECTATION'
  | 'BUSY'
  | 'INTERNAL';

/**
 * One line for the user: `<what failed>: <why>`, and where there is one a hint that says what to
 * do about it.
 */
export class VnetError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, what: string, why: string, options: { hint?: string; cause?: unknown } = {}) {
    super(`${what}: ${why}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VnetError';
    this.code = code;
    this.hint = options.hint;
  }

  /** An error that another process has put into words already. */
  static received(code: ErrorCode, message: string, hint: string | undefined): VnetError {
    const [what, ...why] = message.split(': ');
    return new VnetError(code, what as string, why.join(': '), hint === undefined ? {} : { hint });
  }

  /** 2 for wrong usage, 1 for what failed at run time. */
  get exitCode(): 1 | 2 {
    return this.code === 'USAGE' ? 2 : 1;
  }
}

/** Wrong usage: exit code 2, nothing was changed. */
export function usageError(what: string, why: string, hint?: string): VnetError {
  return new VnetError('USAGE', what, why, hint === undefined ? {} : { hint });
}

/** What to do about errors of a kind, wherever they come from. */
export const HINTS = {
  doctor: 'vnet-bpf doctor looks for the cause',
  removed: 'attach it again; if that goes on, some program on this machine removes interfaces',
  bug: 'this is a bug in vnet-bpf: --debug shows where',
} as const;
