// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of cgroup-firewall.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct network, 8 bytes. */
export interface network {
  /** offset 0, 4 bytes */
  readonly prefix_length: number;
  /** offset 4, 4 bytes */
  readonly address: Uint8Array;
}
export const network: CType<network> = c.struct('struct network', 8, [
  ['prefix_length', 0, c.u32],
  ['address', 4, c.bytes(4)],
]);

/** struct refusal, 28 bytes. */
export interface refusal {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 2 bytes */
  readonly port: number;
  /** offset 6, 4 bytes */
  readonly address: Uint8Array;
  /** offset 10, 16 bytes */
  readonly comm: Uint8Array;
}
export const refusal: CType<refusal> = c.struct('struct refusal', 28, [
  ['pid', 0, c.u32],
  ['port', 4, c.u16],
  ['address', 6, c.bytes(4)],
  ['comm', 10, c.bytes(16)],
]);

/** Programs, maps and global variables of cgroup-firewall.bpf.o. */
export class CgroupFirewall extends Skeleton<'on_connect'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): CgroupFirewall {
    return new CgroupFirewall(BpfObject.open(source, { name: 'cgroup_firewall', ...options }));
  }

  readonly maps = {
    denied: this.map('denied', network, c.u8),
    refusals: this.ringBuffer('refusals', refusal),
  };

  private constructor(object: BpfObject) {
    super(object, ['on_connect']);
  }
}
