// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of xdp-drop.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** Global variables in .bss. */
export interface bss {
  /** offset 0, 8 bytes */
  get dropped(): bigint;
  set dropped(value: Input<bigint>);
}
export const bss: CType<bss> = c.struct('.bss', 8, [
  ['dropped', 0, c.u64],
]);

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 2 bytes */
  get port(): number;
  set port(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 2, [
  ['port', 0, c.u16],
]);

/** Programs, maps and global variables of xdp-drop.bpf.o. */
export class XdpDrop extends Skeleton<'drop'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): XdpDrop {
    return new XdpDrop(BpfObject.open(source, { name: 'xdp_drop', ...options }));
  }

  /** Global variables in .bss. */
  readonly bss = this.globals('.bss', bss);

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['drop']);
  }
}
