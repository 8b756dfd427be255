// SPDX-License-Identifier: MIT
import { MapType } from './constants';
import { checkLayout, readMapInfo } from './map-info';
import { MappedMemory, pageSize } from './mapped-memory';
import { RingReader } from './ring-reader';
import type { BpfMap } from './map';

export interface RingBufferOptions {
  /** The most records that one lease can hold; 1024 unless given. */
  readonly capacity?: number;
}

/** A ring's descriptor, borrowed, and its bytes of record space; throws IncompatibleMapError if it is not a ring buffer. */
export function requireRing(map: BpfMap | number): { fd: number; size: number } {
  const fd = typeof map === 'number' ? map : map.fd;
  const info = readMapInfo(fd);
  checkLayout(typeof map === 'number' ? info.name : map.name, info, { type: MapType.RINGBUF });
  return { fd, size: info.maxEntries };
}

/**
 * A BPF_MAP_TYPE_RINGBUF map in memory (Linux 5.8), read in place through {@link reader}.
 *
 * The kernel maps one writable page (consumer position), one read-only page (producer position) and the records,
 * read-only and twice in a row, so that a record that wraps is contiguous (kernel/bpf/ringbuf.c). The mappings keep
 * the ring alive; descriptor and map stay the caller's and may be closed, except that waiting needs the descriptor.
 */
export class RingBuffer implements Disposable {
  /** Bytes of record space. */
  readonly size: number;
  /** The records: 2 × size bytes, read-only (writing kills the process). */
  readonly data: Uint8Array;
  /** Address of {@link data}, for C structures such as an iovec. */
  readonly dataAddress: number;
  readonly reader: RingReader;
  readonly #mappings: readonly MappedMemory[];

  /**
   * @param map the ring's map, or its descriptor
   * @throws IncompatibleMapError if it is not a ring buffer; BpfError with the errno of mmap(2)
   */
  constructor(map: BpfMap | number, options: RingBufferOptions = {}) {
    const { fd, size } = requireRing(map);
    this.size = size;
    const page = pageSize();
    const mappings: MappedMemory[] = [];
    const add = (offset: number, length: number, writable: boolean): MappedMemory => {
      const mapping = MappedMemory.map({ fd, offset, length, writable });
      mappings.push(mapping);
      return mapping;
    };
    try {
      const consumer = add(0, page, true);
      const producer = add(page, page, false);
      const data = add(2 * page, 2 * this.size, false);
      this.data = new Uint8Array(data.buffer);
      this.dataAddress = data.address;
      const memory = { consumer: consumer.buffer, producer: producer.buffer, data: data.buffer };
      this.reader = new RingReader(memory, options.capacity);
    } catch (error) {
      for (const mapping of mappings) mapping.close();
      throw error;
    }
    this.#mappings = mappings;
  }

  /** Unmaps the ring. Views that are still around read zeroes from then on; addresses in flight must be done with. */
  close(): void {
    for (const mapping of this.#mappings) mapping.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
