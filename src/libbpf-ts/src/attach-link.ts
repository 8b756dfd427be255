// SPDX-License-Identifier: MIT
/** What all functions that attach have in common: the call, and why it failed. */
import { createLink, type LinkRequest } from './bpf-call';
import { type BpfError, Errno, NotSupportedError, systemError } from './errors';
import { OwnedFd } from './fd';
import { type Capability, kernelIsAtLeast } from './kernel';
import { Link } from './link';
import type { Address } from './native/ffi';
import { calling } from './native/libbpf';
import { type BpfProgram, handleOf } from './program';

/** What a kind of attachment needs, in the words of errors. */
export interface LinkKind {
  readonly feature: string;
  readonly minimumKernel: string;
  readonly capabilities: readonly Capability[];
}

/** The name of an attachment in errors. */
export const attachOperation = (program: BpfProgram, where: string): string => `attach ${program.name} ${where}`;

/**
 * Attaches a program that came from BpfObject.program(). The object must still be open, because libbpf reads the kind
 * of program there; it may be closed afterwards.
 *
 * @param call returns a `struct bpf_link *`, or 0 and sets errno
 */
export function attachLink(
  program: BpfProgram,
  where: string,
  kind: LinkKind,
  call: (handle: Address) => Address,
): Link {
  const operation = attachOperation(program, where);
  const handle = handleOf(program);
  const { result, errno, messages } = calling(() => call(handle));
  if (result !== 0) return Link.fromHandle(result);
  throw attachError(operation, errno, kind, messages);
}

/** Why an attachment was not made. */
export function attachError(
  operation: string,
  errno: number,
  { feature, minimumKernel, capabilities }: LinkKind,
  messages: readonly string[] = [],
): BpfError {
  // ENOTSUPP: the kernel does not support it; EINVAL has many reasons, an old kernel among them.
  const old = errno === Errno.EINVAL && !kernelIsAtLeast(minimumKernel);
  return errno === Errno.ENOTSUPP || old
    ? new NotSupportedError(feature, minimumKernel, { operation, errno, messages })
    : systemError(operation, errno, capabilities, messages);
}

/** Attaches a program through bpf(2) itself. */
export function attachByRequest(
  program: BpfProgram,
  where: string,
  kind: LinkKind,
  request: Omit<LinkRequest, 'programFd'>,
): Link {
  const fd = createLink({ ...request, programFd: program.fd });
  if (fd >= 0) return Link.fromFd(new OwnedFd(fd, `link of ${program.name}`));
  throw attachError(attachOperation(program, where), -fd, kind);
}
