// SPDX-License-Identifier: MIT
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** What Node does not know: errors that libbpf invents (`enum libbpf_errno`), EBADFD, and ENOTSUPP, which leaks. */
const extra: Readonly<Record<number, readonly [string, string]>> = {
  77: ['EBADFD', 'file descriptor in bad state'],
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
  for (const [name, value] of Object.entries(constants.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

/** What a positive errno means, in words. */
export function errnoText(errno: number): string {
  return extra[errno]?.[1] ?? getSystemErrorMap().get(-errno)?.[1] ?? 'unknown error';
}

/** The errno values this package decides on. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ENOLINK: 67,
  EOPNOTSUPP: 95,
  ENOTSUPP: 524,
} as const;
