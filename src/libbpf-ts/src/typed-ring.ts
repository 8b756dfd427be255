// SPDX-License-Identifier: MIT
import { type CType, ValueError } from './ctypes/ctype';
import type { BpfMap } from './map';
import { RingBuffer, RingWaiter } from './ringbuf';
import { ringRecords, type RingStreamOptions } from './ring-stream';
import type { MapSource } from './typed-map';

/** Records that are leased at once. */
const BATCH = 256;

/**
 * A ring buffer whose records are values of a C type; those with a flexible array may differ in length. It is the one
 * consumer of the ring.
 */
export class TypedRing<T> implements Disposable {
  readonly record: CType<T>;
  readonly #source: MapSource;
  #ring: RingBuffer | undefined;
  #waiter: RingWaiter | undefined;
  #memory: DataView | undefined;

  /**
   * @param source the ring's map; it stays the caller's
   * @param record the type of records, from generated code or BtfTypes
   */
  constructor(source: MapSource, record: CType<T>) {
    this.#source = source;
    this.record = record;
  }

  /** The map beneath. Throws `BPF_USAGE` before the object is loaded. */
  get raw(): BpfMap {
    return typeof this.#source === 'function' ? this.#source() : this.#source;
  }

  /** The ring as bytes, to read it in place. */
  get ring(): RingBuffer {
    return (this.#ring ??= new RingBuffer(this.raw));
  }

  /** The same ring with records of a type that its map does not name. Only one of the two may be used. */
  as<R>(record: CType<R>): TypedRing<R> {
    return new TypedRing(this.#source, record);
  }

  /**
   * The records that are there, oldest first, as copies. The space of those that were taken is released once a batch,
   * and when the iteration ends.
   *
   * @param budget the most records to read
   * @throws ValueError for a record that is shorter than its type, which is released
   */
  *records(budget = Infinity): Generator<T> {
    const { reader, data } = this.ring;
    const memory = (this.#memory ??= new DataView(data.buffer, data.byteOffset, data.byteLength));
    const { record } = this;
    for (let left = budget; left > 0;) {
      const count = reader.lease(Math.min(left, BATCH));
      if (count === 0) {
        reader.commit(0); // releases discarded records
        return;
      }
      let taken = 0;
      try {
        while (taken < count) {
          const at = reader.offsets[taken] ?? 0;
          const length = reader.lengths[taken] ?? 0;
          taken++;
          if (length < record.size)
            throw new ValueError(record.name, `a record of ${length} bytes is too short: it has ${record.size}`);
          yield record.read(memory, at, at + length);
        }
      } finally {
        reader.commit(taken);
      }
      left -= count;
    }
  }

  /**
   * The records as they come, until the signal; the event loop is free meanwhile, as with {@link ringRecords}. It is the
   * ring's only reader: not together with {@link records}.
   *
   * @throws ValueError for a record that is shorter than its type, which is released
   */
  async *stream(options: RingStreamOptions = {}): AsyncGenerator<T, void> {
    for await (const bytes of ringRecords(this.raw, options)) yield this.record.decode(bytes);
  }

  /**
   * Waits until there are records. Blocks the thread and its event loop: short times, or in a worker.
   *
   * @param timeoutMs milliseconds; -1 waits forever
   * @returns whether there may be records
   */
  wait(timeoutMs: number): boolean {
    if (!this.ring.reader.isEmpty()) return true;
    this.#waiter ??= new RingWaiter(this.raw);
    return this.#waiter.wait(timeoutMs) !== 0;
  }

  /** Unmaps the ring. */
  close(): void {
    this.#waiter?.close();
    this.#ring?.close();
    this.#waiter = this.#ring = this.#memory = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
