// SPDX-License-Identifier: MIT
/** Ring buffers as async iterators, which leave the event loop to others while there is nothing to read (Linux 5.8). */
import { integer, uint32 } from './border';
import type { BpfMap } from './map';
import { aTurn, untilReadable } from './readiness';
import { RingBuffer } from './ringbuf';

export interface RingStreamOptions {
  /** The most records of a batch; 1024 unless given. The event loop has a turn after as many. */
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
  const turns = new Turns(budget);
  for (;;) {
    const length = await nextLease(ring, map, budget, options.signal);
    if (length === 0) return;
    try {
      yield {
        length,
        at: (index) => at(integer('at', 'index', index, 0, length - 1)),
        // An array's iterator: a generator takes longer.
        [Symbol.iterator]: () => {
          const views: Uint8Array[] = [];
          for (let index = 0; index < length; index++) views.push(at(index));
          return views.values();
        },
      };
    } finally {
      reader.commit(length);
    }
    await turns.after(length);
  }
}

/** Reads a ring buffer record by record, each a copy. The next reader goes on behind the last one. */
export function ringRecords(map: BpfMap, options: RingStreamOptions = {}): AsyncGenerator<Uint8Array, void> {
  return new RecordStream(map, options);
}

/** What an async generator would do, in half of its time: records that are there need one promise each. */
class RecordStream implements AsyncGenerator<Uint8Array, void> {
  readonly #map: BpfMap;
  readonly #options: RingStreamOptions;
  #ring: RingBuffer | undefined;
  #turns = new Turns(1);
  #budget = 0;
  #leased = 0;
  #read = 0;
  #ended = false;
  /** The last step that has to wait; steps that are asked for meanwhile come after it. */
  #last: Promise<unknown> | undefined;

  constructor(map: BpfMap, options: RingStreamOptions) {
    this.#map = map;
    this.#options = options;
  }

  next(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#last === undefined && this.#read < this.#leased && !this.#options.signal?.aborted)
      return Promise.resolve({ done: false, value: this.#take() });
    return this.#inTurn(() => this.#step());
  }

  return(): Promise<IteratorResult<Uint8Array, void>> {
    return this.#inTurn(() => Promise.resolve(this.#end()));
  }

  throw(error: unknown): Promise<IteratorResult<Uint8Array, void>> {
    return this.#inTurn(async () => {
      await Promise.resolve(this.#end());
      throw error;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #take(): Uint8Array {
    const { reader, data } = this.#ring!;
    const offset = reader.offsets[this.#read]!;
    return data.slice(offset, offset + reader.lengths[this.#read++]!);
  }

  #inTurn<Result>(step: () => Promise<Result>): Promise<Result> {
    const result = this.#last === undefined ? step() : this.#last.then(step, step);
    const settle = (): void => {
      if (this.#last === result) this.#last = undefined;
    };
    this.#last = result;
    void result.then(settle, settle);
    return result;
  }

  async #step(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#ended) return { done: true, value: undefined };
    try {
      const ring = (this.#ring ??= this.#open());
      const { signal } = this.#options;
      if (this.#read >= this.#leased && !signal?.aborted) {
        ring.reader.commit(this.#read);
        const before = this.#leased;
        [this.#leased, this.#read] = [0, 0];
        await this.#turns.after(before);
        this.#leased = await nextLease(ring, this.#map, this.#budget, signal);
      }
      if (this.#leased === 0 || signal?.aborted) return this.#end();
      return { done: false, value: this.#take() };
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  #open(): RingBuffer {
    this.#budget = uint32('ringRecords', 'budget', this.#options.budget ?? BUDGET, 1);
    this.#turns = new Turns(this.#budget);
    return new RingBuffer(this.#map, { capacity: this.#budget });
  }

  #end(): IteratorReturnResult<void> {
    this.#ended = true;
    this.#ring?.reader.commit(this.#read);
    this.#ring?.close();
    this.#ring = undefined;
    [this.#leased, this.#read] = [0, 0];
    return { done: true, value: undefined };
  }
}

/** Gives other events a turn once a budget of records has been read, in however many leases. */
class Turns {
  readonly #budget: number;
  #read = 0;

  constructor(budget: number) {
    this.#budget = budget;
  }

  async after(records: number): Promise<void> {
    this.#read += records;
    if (this.#read < this.#budget) return;
    this.#read = 0;
    await aTurn();
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
