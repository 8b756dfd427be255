// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of execs.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct exec, 24 bytes. */
export interface exec {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly uid: number;
  /** offset 8, 16 bytes */
  readonly comm: Uint8Array;
}
export const exec: CType<exec> = c.struct('struct exec', 24, [
  ['pid', 0, c.u32],
  ['uid', 4, c.u32],
  ['comm', 8, c.bytes(16)],
]);

/** Programs, maps and global variables of execs.bpf.o. */
export class Execs extends Skeleton<'on_exec'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): Execs {
    return new Execs(BpfObject.open(source, { name: 'execs', ...options }));
  }

  readonly maps = {
    execs: this.ringBuffer('execs', exec),
  };

  private constructor(object: BpfObject) {
    super(object, ['on_exec']);
  }
}
