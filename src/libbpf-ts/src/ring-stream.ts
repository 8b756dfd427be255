// SPDX-License-Identifier: MIT
/** Ring buffers as async iterators, which leave the event loop to others while there is nothing to read (Linux 5.8). */
import { integer, uint32 } from './border';
import type { BpfMap } from './map';
import { aTurn, untilReadable } from './readiness';
import { RingBuffer } from './ringbuf';

export interface RingStreamOptions {
  /** The most records of a batch; 1024 unless given. The event loop has a turn after each. */
  readonly budget?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** Records that lie in the ring until the next step of the iteration, which gives their space back. */
export interface RingBatch extends Iterable<Uint8Array> {
  readonly length: number;
  /** The bytes of a record in the ring: read-only, and another's after the next step. Copy what is to stay. */
  at(index: number): Uint8Array;
}

const BUDGET = 1024;

/**
 * Reads a ring buffer in batches, in place, as its only reader. The map must stay open until the iteration ends. A
 * batch counts as read, also when the loop is left within it.
 *
 * @throws IncompatibleMapError if it is not a ring buffer
 */
export async function* ringBatches(map: BpfMap, options: RingStreamOptions = {}): AsyncGenerator<RingBatch, void> {
  const budget = uint32('ringBatches', 'budget', options.budget ?? BUDGET, 1);
  using ring = new RingBuffer(map, { capacity: budget });
  const { reader, data } = ring;
  const at = (index: number): Uint8Array => {
    const offset = reader.offsets[index]!;
    return data.subarray(offset, offset + reader.lengths[index]!);
  };
  for (;;) {
    const length = await nextLease(ring, map, budget, options.signal);
    if (length === 0) return;
    try {
      yield {
        length,
        at: (index) => at(integer('at', 'index', index, 0, length - 1)),
        *[Symbol.iterator]() {
          for (let i = 0; i < length; i++) yield at(i);
        },
      };
    } finally {
      reader.commit(length);
    }
    if (length === budget) await aTurn();
  }
}

/** Reads a ring buffer record by record, each a copy. The next reader goes on behind the last one. */
export async function* ringRecords(map: BpfMap, options: RingStreamOptions = {}): AsyncGenerator<Uint8Array, void> {
  const budget = uint32('ringRecords', 'budget', options.budget ?? BUDGET, 1);
  using ring = new RingBuffer(map, { capacity: budget });
  const { reader, data } = ring;
  for (;;) {
    const length = await nextLease(ring, map, budget, options.signal);
    if (length === 0) return;
    let read = 0;
    try {
      while (read < length && !options.signal?.aborted) {
        const offset = reader.offsets[read]!;
        yield data.slice(offset, offset + reader.lengths[read++]!);
      }
    } finally {
      reader.commit(read);
    }
    if (length === budget) await aTurn();
  }
}

/** Waits for records and leases them. @returns how many; 0 once the signal has come */
async function nextLease(
  { reader }: RingBuffer,
  map: BpfMap,
  budget: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  while (!signal?.aborted) {
    const length = reader.lease(budget);
    if (length > 0) return length;
    // What producers have discarded; then a full fence, before the ring is looked at again.
    reader.commit(0);
    // A record that is still being written makes the ring not empty; its producer wakes us when it is done.
    if (reader.isEmpty()) await untilReadable(map.fd, signal);
    else await aTurn();
  }
  return 0;
}
