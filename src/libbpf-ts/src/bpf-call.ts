// SPDX-License-Identifier: MIT
/** bpf(2) itself, for what the installed libbpf may not know yet. */
import { CStruct, lastErrno, libc, SYSCALL } from './native/ffi';

/** BPF_LINK_CREATE of `enum bpf_cmd` (include/uapi/linux/bpf.h). */
const LINK_CREATE = 28;

/** Offsets in the part of `union bpf_attr` for BPF_LINK_CREATE. */
const LINK = { program: 0, target: 4, attachType: 8, flags: 12, details: 16 } as const;
const SIZE = 64;

export interface LinkRequest {
  readonly programFd: number;
  /** A descriptor, the index of a device, or 0. */
  readonly target: number;
  readonly attachType: number;
  readonly flags?: number;
  /** Fills in what belongs to the kind of link, which begins at `offset`. */
  readonly details?: (attributes: CStruct, offset: number) => unknown;
}

/** Creates a link. @returns its descriptor, or a negative errno */
export function createLink({ programFd, target, attachType, flags = 0, details }: LinkRequest): number {
  const attributes = new CStruct(SIZE);
  attributes.setU32(LINK.program, programFd).setU32(LINK.target, target);
  attributes.setU32(LINK.attachType, attachType).setU32(LINK.flags, flags);
  details?.(attributes, LINK.details);
  const fd = libc.bpf(SYSCALL.bpf, LINK_CREATE, attributes.bytes, SIZE);
  return fd < 0 ? -lastErrno() : fd;
}
