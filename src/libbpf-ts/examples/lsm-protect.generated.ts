// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of lsm-protect.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct refusal, 28 bytes. */
export interface refusal {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly uid: number;
  /** offset 8, 4 bytes */
  readonly signal: number;
  /** offset 12, 16 bytes */
  readonly comm: Uint8Array;
}
export const refusal: CType<refusal> = c.struct('struct refusal', 28, [
  ['pid', 0, c.u32],
  ['uid', 4, c.u32],
  ['signal', 8, c.s32],
  ['comm', 12, c.bytes(16)],
]);

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 4 bytes */
  get protected(): number;
  set protected(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 4, [
  ['protected', 0, c.s32],
]);

/** Programs, maps and global variables of lsm-protect.bpf.o. */
export class LsmProtect extends Skeleton<'on_kill'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): LsmProtect {
    return new LsmProtect(BpfObject.open(source, { name: 'lsm_protect', ...options }));
  }

  readonly maps = {
    refusals: this.ringBuffer('refusals', refusal),
  };

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['on_kill']);
  }
}
