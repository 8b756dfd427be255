// SPDX-License-Identifier: MIT
import { Link } from './bpf-link';
import type { Capability } from './capabilities';
import { Errno } from './errno';
import { NotSupportedError, systemError } from './errors';
import { kernelIsAtLeast } from './kernel';
import { lastErrno } from './native/libc';
import type { Address } from './native/libc';
import type { BpfProgram } from './program';
import { handleOf } from './program-handle';

/** What a kind of attachment needs, as errors name it. */
export interface LinkKind {
  readonly feature: string;
  readonly minimumKernel: string;
  readonly capabilities: readonly Capability[];
}

/** How errors name an attachment. */
export const attachOperation = (program: BpfProgram, where: string): string => `attach ${program.name} ${where}`;

/**
 * Attaches a program that BpfObject.program() gave, while its object is open: libbpf reads there what kind of program it
 * is. The object may be closed afterwards.
 *
 * @param call gives a `struct bpf_link *`, or 0 and errno
 */
export function attachLink(program: BpfProgram, where: string, kind: LinkKind, call: (handle: Address) => Address): Link {
  const operation = attachOperation(program, where);
  const link = call(handleOf(program));
  if (link !== 0) return new Link(link);
  const errno = lastErrno();
  // ENOTSUPP is a kernel that cannot; EINVAL has many reasons, of which an old kernel is one.
  const old = errno === Errno.EINVAL && !kernelIsAtLeast(kind.minimumKernel);
  if (errno === Errno.ENOTSUPP || old) throw new NotSupportedError(kind.feature, kind.minimumKernel, { operation, errno });
  throw systemError(operation, errno, kind.capabilities);
}
