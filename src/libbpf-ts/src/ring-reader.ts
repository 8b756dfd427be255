// SPDX-License-Identifier: MIT
/**
 * Reads a word that the kernel or another thread writes; later reads see what was written before it.
 *
 * On x86-64 every load has this property (Intel SDM vol. 3A, 8.2.2), and V8 compiles a plain load in place, while
 * Atomics.load is a call: 8 ns in a loop that has 20 for a record.
 */
export const loadAcquire: (words: Int32Array, index: number) => number =
  process.arch === 'x64' ? (words, index) => words[index]! : (words, index) => Atomics.load(words, index);

/** BPF_RINGBUF_BUSY_BIT: reserved, not yet submitted (include/uapi/linux/bpf.h). */
export const RINGBUF_BUSY_BIT = 1 << 31;
/** BPF_RINGBUF_DISCARD_BIT: discarded by the producer, to be skipped. */
export const RINGBUF_DISCARD_BIT = 1 << 30;
/** BPF_RINGBUF_HDR_SZ: bytes of `u32 len; u32 pg_off` in front of every record. */
export const RINGBUF_HEADER_SIZE = 8;

const LENGTH_MASK = 0x3fffffff;

/** The three parts of a ring buffer, as the kernel maps them. */
export interface RingMemory {
  /** The consumer's page: `unsigned long consumer_pos` first. Must be writable. */
  readonly consumer: ArrayBuffer;
  /** The producer's page: `unsigned long producer_pos` first. May be read-only. */
  readonly producer: ArrayBuffer;
  /** The records: 2 × size bytes, the second half mapping the same memory as the first. May be read-only. */
  readonly data: ArrayBuffer;
}

/**
 * Reads a BPF ring buffer in place: returns where records are, and releases their space later.
 *
 * ```
 *   data:   0 ........ consumer_pos ................ producer_pos .... size | same memory again ... 2*size
 *                      | hdr | payload | pad | hdr | payload | ...
 *                              ^ offsets[0], lengths[0]  ^ offsets[1], lengths[1]
 *           <- free -> <------ leased, then committed -----> <--- free ---->
 * ```
 *
 * There is one consumer: only one RingReader may commit to a ring at a time. Neither lease() nor commit()
 * allocates, throws or uses BigInt. Positions are 64 bits wide in memory; the distance between producer and consumer
 * is at most 2^31, so the low halves decide everything and no torn read of the producer's position is possible.
 *
 * Layout and protocol: kernel/bpf/ringbuf.c. Requires a 64-bit little-endian CPU.
 */
export class RingReader {
  /** Bytes of record space; a power of two. */
  readonly size: number;
  /** The most records that one lease can hold. */
  readonly capacity: number;
  /** Where the payload of each leased record starts, in bytes from the start of the data mapping (0 .. size + 8). */
  readonly offsets: Uint32Array;
  /** Payload bytes of each leased record; the payload is contiguous at its offset, even across the wrap. */
  readonly lengths: Uint32Array;
  /** Bytes from the consumer position to the end of each leased record: what committing it releases. */
  readonly ends: Uint32Array;

  readonly #consumer: Float64Array;
  readonly #producer: Int32Array;
  readonly #records: Int32Array;
  readonly #mask: number;
  readonly #scratch = new ArrayBuffer(16);
  readonly #words = new Int32Array(this.#scratch);
  readonly #double = new Float64Array(this.#scratch);
  /** Consumer position, low and high half, as in memory: only this object writes it. */
  #low: number;
  #high: number;
  /** Records in the current lease, and bytes that releasing all of it (trailing discarded records included) frees. */
  #leased = 0;
  #scanned = 0;

  /**
   * @param memory views of the ring; borrowed, not owned
   * @param capacity the most records that one lease can hold
   */
  constructor(memory: RingMemory, capacity = 1024) {
    this.size = memory.data.byteLength / 2;
    if (this.size < 8 || this.size > 2 ** 31 || (this.size & (this.size - 1)) !== 0) {
      throw new RangeError(`a ring of ${this.size} bytes: not a power of two from 8 to 2^31`);
    }
    this.capacity = capacity;
    this.offsets = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.ends = new Uint32Array(capacity);
    this.#mask = this.size - 1;
    this.#consumer = new Float64Array(memory.consumer, 0, 1);
    this.#producer = new Int32Array(memory.producer, 0, 2);
    this.#records = new Int32Array(memory.data);
    const position = new Int32Array(memory.consumer, 0, 2);
    this.#low = Atomics.load(position, 0);
    this.#high = Atomics.load(position, 1);
  }

  /**
   * Finds complete records in order, from the consumer position on, and fills {@link offsets}, {@link lengths} and
   * {@link ends}. Stops at a record that is still being written; skips discarded records. Records that are not
   * committed are leased again by the next call.
   *
   * @param budget the most records to lease; cut to {@link capacity}
   * @returns how many records are leased
   */
  lease(budget: number): number {
    const limit = budget < this.capacity ? budget | 0 : this.capacity;
    const records = this.#records;
    const mask = this.#mask;
    const ready = (loadAcquire(this.#producer, 0) - this.#low) >>> 0;
    const base = this.#low & mask;
    const offsets = this.offsets;
    const lengths = this.lengths;
    const ends = this.ends;
    let scanned = 0;
    let count = 0;
    while (count < limit && scanned < ready) {
      const start = (base + scanned) & mask;
      const header = loadAcquire(records, start >>> 2);
      if (header < 0) break; // busy: bit 31
      const length = header & LENGTH_MASK;
      scanned += (length + 15) & ~7;
      if ((header & RINGBUF_DISCARD_BIT) === 0) {
        offsets[count] = start + RINGBUF_HEADER_SIZE;
        lengths[count] = length;
        ends[count] = scanned;
        count++;
      }
    }
    this.#leased = count;
    this.#scanned = scanned;
    return count;
  }

  /**
   * Releases the first `n` leased records to the producer, with the discarded ones between them, and, if everything
   * leased is committed (n may be 0 then), the discarded ones after them. Ends the lease.
   *
   * The release is one 8-byte store after a full fence: earlier reads of payload cannot drift past it. A consumer that
   * is about to sleep must call {@link isEmpty} after it has armed its wake-up.
   */
  commit(n: number): void {
    const bytes = n >= this.#leased ? this.#scanned : n > 0 ? this.ends[n - 1]! : 0;
    this.#leased = 0;
    this.#scanned = 0;
    if (bytes === 0) return;
    const before = this.#low;
    const after = (before + bytes) | 0;
    this.#low = after;
    // A carry out of the low half, compared as unsigned.
    if (after >>> 0 < before >>> 0) this.#high = (this.#high + 1) | 0;
    const words = this.#words;
    words[0] = after;
    words[1] = this.#high;
    Atomics.add(words, 2, 1); // a locked read-modify-write is a full fence
    // Positions stay below 2^62, so these bits are never a NaN that the engine might rewrite.
    this.#consumer[0] = this.#double[0]!;
  }

  /** Bytes between consumer and producer: records with their headers, those still being written included. */
  available(): number {
    return (loadAcquire(this.#producer, 0) - this.#low) >>> 0;
  }

  /**
   * True only if the producer has reserved nothing beyond the consumer position; a record that is still being written
   * counts as not empty. Starts with a full fence, so that "publish, arm, then look again" cannot miss a record.
   */
  isEmpty(): boolean {
    Atomics.add(this.#words, 2, 1);
    return loadAcquire(this.#producer, 0) === this.#low;
  }

  /** Bytes consumed since the ring was created; exact below 2^53. */
  consumerPosition(): number {
    return (this.#high >>> 0) * 2 ** 32 + (this.#low >>> 0);
  }

  /** Bytes produced since the ring was created; exact below 2^53. */
  producerPosition(): number {
    return this.consumerPosition() + this.available();
  }
}
