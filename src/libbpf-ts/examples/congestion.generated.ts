// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of congestion.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** Global variables in .bss. */
export interface bss {
  /** offset 0, 8 bytes */
  get acknowledged(): bigint;
  set acknowledged(value: Input<bigint>);
  /** offset 8, 8 bytes */
  get losses(): bigint;
  set losses(value: Input<bigint>);
}
export const bss: CType<bss> = c.struct('.bss', 16, [
  ['acknowledged', 0, c.u64],
  ['losses', 8, c.u64],
]);

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 4 bytes */
  get window(): number;
  set window(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 4, [
  ['window', 0, c.u32],
]);

/** Programs, maps and global variables of congestion.bpf.o. */
export class Congestion extends Skeleton<'fixed_ssthresh' | 'fixed_undo_cwnd' | 'fixed_cong_avoid'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): Congestion {
    return new Congestion(BpfObject.open(source, { name: 'congestion', ...options }));
  }

  readonly maps = {
    fixed: this.map('fixed', c.rawBytes, c.rawBytes),
  };

  /** Global variables in .bss. */
  readonly bss = this.globals('.bss', bss);

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['fixed_ssthresh', 'fixed_undo_cwnd', 'fixed_cong_avoid']);
  }
}
