// SPDX-License-Identifier: MIT
/** Programs that write a line for each task, socket, entry of a map or the like (Linux 5.8). */
import { createReadStream, readSync } from 'node:fs';
import type { Readable } from 'node:stream';

import { integer, MAX_INT } from './border';
import { systemError } from './errors';
import { OwnedFd } from './fd';
import { attachLink } from './attach-link';
import { type Link } from './link';
import type { BpfMap } from './map';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { tracing } from './tracing';

/** What is gone through; nothing for an iterator that needs no choice. At most one of them. */
export interface IteratorTarget {
  /** `iter/bpf_map_elem` and `iter/bpf_sk_storage_map`: the entries of this map. */
  readonly map?: BpfMap;
  /** `iter/task` and its like: the threads of this process (Linux 6.1). */
  readonly pid?: number;
  /** Only this thread (Linux 6.1). */
  readonly tid?: number;
}

const CHUNK = 64 * 1024;

/** An attached iterator. Each reading runs the program from the beginning. close() ends it; readings go on. */
export class BpfIterator implements Disposable {
  readonly link: Link;
  readonly #name: string;

  /** @internal */
  constructor(link: Link, name: string) {
    this.link = link;
    this.#name = name;
  }

  /** What the program writes, as a stream of bytes; destroying it early ends the program's run. */
  open(): Readable {
    // The stream closes the descriptor.
    return createReadStream('', { fd: this.#begin() });
  }

  /** All that the program writes, which blocks the calling thread. */
  read(): Buffer {
    using fd = new OwnedFd(this.#begin(), `iterator ${this.#name}`);
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const length = readSync(fd.value, chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    }
  }

  close(): void {
    this.link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #begin(): number {
    const fd = libbpf.bpf_iter_create(this.link.fd);
    if (fd < 0) throw systemError(`bpf(BPF_ITER_CREATE) of ${this.#name}`, fd, ['CAP_BPF']);
    return fd;
  }
}

/** `union bpf_iter_link_info`: the largest part is 16 bytes. */
const INFO_SIZE = 16;

/** Attaches a program of a section `iter/...` or `iter.s/...` (Linux 5.8). */
export function attachIterator(program: BpfProgram, { map, pid, tid }: IteratorTarget = {}): BpfIterator {
  const operation = 'attach iterator';
  const options = new CStruct(24, true);
  if (map ?? pid ?? tid) {
    const info = new CStruct(INFO_SIZE);
    if (map) info.setU32(0, map.fd);
    else if (tid !== undefined) info.setU32(0, integer(operation, 'tid', tid, 1, MAX_INT));
    else info.setU32(4, integer(operation, 'pid', pid, 1, MAX_INT));
    options.setPointer(8, info).setU32(16, INFO_SIZE);
  }
  const kind = tracing('iterators', pid === undefined && tid === undefined ? '5.8' : '6.1');
  const link = attachLink(program, 'as an iterator', kind, (it) => libbpf.bpf_program__attach_iter(it, options.bytes));
  return new BpfIterator(link, program.name);
}
