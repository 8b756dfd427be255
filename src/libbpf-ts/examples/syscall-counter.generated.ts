// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of syscall-counter.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 4 bytes */
  get pid(): number;
  set pid(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 4, [
  ['pid', 0, c.u32],
]);

/** Programs, maps and global variables of syscall-counter.bpf.o. */
export class SyscallCounter extends Skeleton<'sys_enter'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): SyscallCounter {
    return new SyscallCounter(BpfObject.open(source, { name: 'syscall_counter', ...options }));
  }

  readonly maps = {
    counts: this.perCpuMap('counts', c.u32, c.u64),
  };

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['sys_enter']);
  }
}
