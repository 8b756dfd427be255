// SPDX-License-Identifier: MIT
import { UsageError } from './errors';
import type { Address } from './native/libc';
import type { BpfProgram } from './program';

/** How to reach libbpf's own record of a program; it throws once the object that has it is closed. */
const handles = new WeakMap<BpfProgram, () => Address>();

export function setHandle(program: BpfProgram, handle: () => Address): void {
  handles.set(program, handle);
}

/** The `struct bpf_program *`. Throws `BPF_USAGE` for a program without an object, or whose object is closed. */
export function handleOf(program: BpfProgram): Address {
  const handle = handles.get(program);
  if (!handle) throw new UsageError(`attach ${program.name}`, 'it was not taken from a BpfObject, which knows how');
  return handle();
}
