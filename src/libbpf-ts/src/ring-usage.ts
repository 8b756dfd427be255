// SPDX-License-Identifier: MIT
import { MappedMemory, pageSize } from './mapped-memory';
import type { BpfMap } from './map';
import { requireRing } from './ringbuf';

/**
 * Bytes of a ring buffer (Linux 5.8) that wait for its consumer, headers and padding included. For a look from
 * outside: maps the two pages of positions only, not the records, and leaves the ring as it is.
 *
 * @param map the ring's map, or its descriptor
 * @throws IncompatibleMapError if it is not a ring buffer; BpfError with the errno of mmap(2)
 */
export function ringUsage(map: BpfMap | number): number {
  const { fd } = requireRing(map);
  const page = pageSize();
  using positions = MappedMemory.map({ fd, length: 2 * page, writable: false });
  const lowHalf = (offset: number): number => Atomics.load(new Int32Array(positions.buffer, offset, 1), 0);
  // The consumer first: read after the producer, it could be ahead of it. They are at most 2^31 apart.
  const consumer = lowHalf(0);
  return (lowHalf(page) - consumer) >>> 0;
}
