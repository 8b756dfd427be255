// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of tcpconnect.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct connection, 56 bytes. */
export interface connection {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 2 bytes */
  readonly family: number;
  /** offset 6, 2 bytes */
  readonly port: number;
  /** offset 8, 16 bytes */
  readonly comm: Uint8Array;
  /** offset 24, 16 bytes */
  readonly from: Uint8Array;
  /** offset 40, 16 bytes */
  readonly to: Uint8Array;
}
export const connection: CType<connection> = c.struct('struct connection', 56, [
  ['pid', 0, c.u32],
  ['family', 4, c.u16],
  ['port', 6, c.u16],
  ['comm', 8, c.bytes(16)],
  ['from', 24, c.bytes(16)],
  ['to', 40, c.bytes(16)],
]);

/** Programs, maps and global variables of tcpconnect.bpf.o. */
export class Tcpconnect extends Skeleton<'on_set_state'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): Tcpconnect {
    return new Tcpconnect(BpfObject.open(source, { name: 'tcpconnect', ...options }));
  }

  readonly maps = {
    connections: this.ringBuffer('connections', connection),
  };

  private constructor(object: BpfObject) {
    super(object, ['on_set_state']);
  }
}
