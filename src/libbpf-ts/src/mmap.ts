// SPDX-License-Identifier: MIT
import { descriptor, integer } from './border';
import { systemError } from './errors';
import { lastErrno, libc, viewMemory } from './native/ffi';

// Mappings outlive the thread that made them: when a thread ends, or is terminated, they stay with the process. So a
// thread can record its mappings in shared memory, and the thread that started it unmaps the rest.

/** Address and length, both 0 where an entry is free. */
const ENTRY_WORDS = 2;
const ENTRIES = 1024;

/** This thread's table; mappings beyond its last entry are not recorded. */
let table: Float64Array | undefined;

/** A table for {@link trackMappings}. */
export function newMappingTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(ENTRIES * ENTRY_WORDS * Float64Array.BYTES_PER_ELEMENT);
}

/** Records every {@link MappedMemory} of this thread from now on. */
export function trackMappings(shared: SharedArrayBuffer): void {
  table = new Float64Array(shared);
}

/** Unmaps what a thread has left behind. The thread must have ended. */
export function releaseMappings(shared: SharedArrayBuffer): void {
  const left = new Float64Array(shared);
  for (let at = 0; at < left.length; at += ENTRY_WORDS) {
    const [address, length] = [left[at] as number, left[at + 1] as number];
    left[at] = left[at + 1] = 0;
    if (length > 0) libc.munmap(address, length);
  }
}

export function noteMapped(address: number, length: number): void {
  if (!table) return;
  for (let at = 0; at < table.length; at += ENTRY_WORDS) {
    if (table[at + 1] !== 0) continue;
    table[at] = address;
    table[at + 1] = length;
    return;
  }
}

export function noteUnmapped(address: number): void {
  if (!table) return;
  for (let at = 0; at < table.length; at += ENTRY_WORDS) {
    if (table[at + 1] === 0 || table[at] !== address) continue;
    table[at + 1] = 0;
    return;
  }
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;

interface Range {
  readonly address: number;
  readonly length: number;
}

/** Unmaps the address range of a closed mapping once no view of it is left. */
const abandoned = new FinalizationRegistry<Range>((range) => {
  // Later, because this also runs while a thread is being shut down, where koffi aborts the process. No immediate runs
  // then, and the mapping stays in the table of the thread, for releaseMappings().
  setImmediate(unmap, range).unref();
});

function unmap({ address, length }: Range): void {
  noteUnmapped(address);
  libc.munmap(address, length);
}

export interface MapOptions {
  /** Descriptor to map; it may be closed afterwards. Without one the memory is anonymous. */
  readonly fd?: number;
  /** Bytes to map; the kernel rounds them up to whole pages. */
  readonly length: number;
  /** Offset in the file, in bytes, a multiple of the page size; defaults to 0. */
  readonly offset?: number;
  /** Whether the mapping can be written; defaults to true. Writing to a read-only mapping kills the process. */
  readonly writable?: boolean;
}

/** Bytes in a memory page. */
export function pageSize(): number {
  return libc.getpagesize();
}

/**
 * A memory mapping viewed as an ArrayBuffer.
 *
 * The buffer does not own the memory and must not be used after close(). If it is, nothing breaks: close() replaces the
 * mapping with zero pages (which releases the kernel object behind it), and the addresses are released only when the
 * buffer has been collected. A worker that ends leaves its mappings to the process, closed or not; see trackMappings().
 */
export class MappedMemory implements Disposable {
  /** Address of the first byte; below 2^53. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** View of the mapping. */
  readonly buffer: ArrayBuffer;
  #closed = false;

  private constructor(address: number, length: number) {
    this.address = address;
    this.length = length;
    this.buffer = viewMemory(address, length);
  }

  /** Maps memory. Throws BpfError with the errno of mmap(2). */
  static map(options: MapOptions): MappedMemory {
    const { fd = -1, length, offset = 0, writable = true } = options;
    integer('mmap', 'length', length, 1, Number.MAX_SAFE_INTEGER);
    integer('mmap', 'offset', offset, 0, Number.MAX_SAFE_INTEGER);
    if (options.fd !== undefined) descriptor('mmap', options.fd);
    const flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    const address = libc.mmap(0, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, offset);
    if (address === -1) throw systemError('mmap', lastErrno());
    noteMapped(address, length);
    return new MappedMemory(address, length);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { address, length } = this;
    const zeroes = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (libc.mmap(address, length, PROT_READ | PROT_WRITE, zeroes, -1, 0) === address) {
      abandoned.register(this.buffer, { address, length });
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
