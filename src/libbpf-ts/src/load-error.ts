// SPDX-License-Identifier: MIT
import { lackingCapabilities } from './capabilities';
import type { Capability } from './capabilities';
import { AttachType } from './constants';
import { Errno } from './errno';
import { NotSupportedError, systemError } from './errors';
import type { BpfError } from './errors';
import { probeFeature } from './features';
import type { Address } from './native/libc';
import { libbpf } from './native/libbpf';
import { VerifierError } from './verifier-log';

/** A program that was to be loaded. */
export interface WantedProgram {
  readonly name: string;
  readonly handle: Address;
  /** What the verifier said; empty if it was not asked, or had nothing to say. */
  readonly log: string;
}

const capabilities: readonly Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'];

const trampolines: readonly number[] = [AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT, AttachType.MODIFY_RETURN];

/** Why an object could not be loaded. @param errno positive */
export function loadError(object: string, programs: readonly WantedProgram[], errno: number): BpfError {
  const operation = `load ${object}`;
  const refused = programs.find(({ log }) => log !== '');
  // With EPERM a log can only say that a privilege is missing; the capabilities say which.
  if (refused && errno !== Errno.EPERM) return new VerifierError(refused.name, refused.log, errno);
  // No privilege is missing: some kernels refuse such programs to everybody, before they look at them.
  if (errno === Errno.EPERM && lackingCapabilities(capabilities).length === 0 && programs.some(usesTrampoline)) {
    const { title, minimumKernel, supported } = probeFeature('trampolines');
    if (supported === false) return new NotSupportedError(title, minimumKernel, { operation, errno });
  }
  return systemError(operation, errno, capabilities);
}

const usesTrampoline = ({ handle }: WantedProgram): boolean => trampolines.includes(libbpf.bpf_program__expected_attach_type(handle));
