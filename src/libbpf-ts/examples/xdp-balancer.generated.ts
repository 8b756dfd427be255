// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of xdp-balancer.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct server, 16 bytes. */
export interface server {
  /** offset 0, 6 bytes */
  readonly mac: Uint8Array;
  /** offset 8, 8 bytes */
  readonly packets: bigint;
}
export const server: CType<server> = c.struct('struct server', 16, [
  ['mac', 0, c.bytes(6)],
  ['packets', 8, c.u64],
]);

/** Global variables in .rodata. */
export interface rodata {
  /** offset 0, 4 bytes */
  get address(): number;
  set address(value: Input<number>);
  /** offset 4, 2 bytes */
  get port(): number;
  set port(value: Input<number>);
  /** offset 8, 4 bytes */
  get server_count(): number;
  set server_count(value: Input<number>);
}
export const rodata: CType<rodata> = c.struct('.rodata', 12, [
  ['address', 0, c.u32],
  ['port', 4, c.u16],
  ['server_count', 8, c.u32],
]);

/** Programs, maps and global variables of xdp-balancer.bpf.o. */
export class XdpBalancer extends Skeleton<'balance'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): XdpBalancer {
    return new XdpBalancer(BpfObject.open(source, { name: 'xdp_balancer', ...options }));
  }

  readonly maps = {
    servers: this.map('servers', c.u32, server),
  };

  /** Global variables in .rodata. */
  readonly rodata = this.globals('.rodata', rodata);

  private constructor(object: BpfObject) {
    super(object, ['balance']);
  }
}
