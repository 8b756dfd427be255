// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of node-files.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** struct file, 264 bytes. */
export interface file {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly flags: number;
  /** offset 8, 256 bytes */
  readonly path: Uint8Array;
}
export const file: CType<file> = c.struct('struct file', 264, [
  ['pid', 0, c.u32],
  ['flags', 4, c.u32],
  ['path', 8, c.bytes(256)],
]);

/** Programs, maps and global variables of node-files.bpf.o. */
export class NodeFiles extends Skeleton<'on_open'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): NodeFiles {
    return new NodeFiles(BpfObject.open(source, { name: 'node_files', ...options }));
  }

  readonly maps = {
    files: this.ringBuffer('files', file),
  };

  private constructor(object: BpfObject) {
    super(object, ['on_open']);
  }
}
