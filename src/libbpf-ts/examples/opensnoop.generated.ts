// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of opensnoop.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct open, 280 bytes. */
export interface open {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly result: number;
  /** offset 8, 16 bytes */
  readonly comm: Uint8Array;
  /** offset 24, 256 bytes */
  readonly path: Uint8Array;
}
export const open: CType<open> = c.struct('struct open', 280, [
  ['pid', 0, c.u32],
  ['result', 4, c.s32],
  ['comm', 8, c.bytes(16)],
  ['path', 24, c.bytes(256)],
]);

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 4 bytes */
  get only(): number;
  set only(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 4, [
  ['only', 0, c.u32],
]);

/** Programs, maps and global variables of opensnoop.bpf.o. */
export class Opensnoop extends Skeleton<'on_enter' | 'on_exit'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): Opensnoop {
    return new Opensnoop(BpfObject.open(source, { name: 'opensnoop', ...options }));
  }

  readonly maps = {
    paths: this.map('paths', c.u32, c.pointer),
    opens: this.ringBuffer('opens', open),
  };

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['on_enter', 'on_exit']);
  }
}
