// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of xdp-counter.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct count, 16 bytes. */
export interface count {
  /** offset 0, 8 bytes */
  readonly packets: bigint;
  /** offset 8, 8 bytes */
  readonly bytes: bigint;
}
export const count: CType<count> = c.struct('struct count', 16, [
  ['packets', 0, c.u64],
  ['bytes', 8, c.u64],
]);

/** Programs, maps and global variables of xdp-counter.bpf.o. */
export class XdpCounter extends Skeleton<'count'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): XdpCounter {
    return new XdpCounter(BpfObject.open(source, { name: 'xdp_counter', ...options }));
  }

  readonly maps = {
    counts: this.perCpuMap('counts', c.u32, count),
  };

  private constructor(object: BpfObject) {
    super(object, ['count']);
  }
}
