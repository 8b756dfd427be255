// SPDX-License-Identifier: MIT
import { RINGBUF_BUSY_BIT, RINGBUF_DISCARD_BIT } from '../../src/ring-reader';

export type RecordState = 'ready' | 'busy' | 'discarded';

/**
 * A ring buffer in ordinary memory with a producer that does what the kernel does; the second half of the data
 * mirrors the first, as the kernel's double mapping.
 */
export class FakeRing {
  readonly consumer = new ArrayBuffer(4096);
  readonly producer = new ArrayBuffer(4096);
  readonly data: ArrayBuffer;
  readonly #size: number;

  constructor(size: number, position = 0n) {
    this.#size = size;
    this.data = new ArrayBuffer(2 * size);
    new BigUint64Array(this.consumer)[0] = position;
    new BigUint64Array(this.producer)[0] = position;
  }

  get consumerPosition(): bigint {
    return new BigUint64Array(this.consumer)[0]!;
  }

  get producerPosition(): bigint {
    return new BigUint64Array(this.producer)[0]!;
  }

  /** Appends a record; undefined if there is no space. Returns its position. */
  produce(payload: Uint8Array, state: RecordState = 'ready'): bigint | undefined {
    const position = this.producerPosition;
    const total = (payload.length + 8 + 7) & ~7;
    if (position + BigInt(total) - this.consumerPosition > BigInt(this.#size)) return undefined;
    this.setState(position, payload.length, state);
    this.#write(position + 8n, payload);
    new BigUint64Array(this.producer)[0] = position + BigInt(total);
    return position;
  }

  /** Rewrites the header of the record at `position`. */
  setState(position: bigint, length: number, state: RecordState): void {
    const bit = state === 'busy' ? RINGBUF_BUSY_BIT : state === 'discarded' ? RINGBUF_DISCARD_BIT : 0;
    const header = new Uint8Array(new Uint32Array([length | bit]).buffer);
    this.#write(position, header);
  }

  /** Into both views of the records, of which the second begins where the first ends. */
  #write(position: bigint, bytes: Uint8Array): void {
    const offset = Number(position % BigInt(this.#size));
    const before = Math.min(bytes.length, this.#size - offset);
    const data = new Uint8Array(this.data);
    data.set(bytes, offset);
    data.set(bytes.subarray(0, before), offset + this.#size);
    data.set(bytes.subarray(before), 0);
  }
}
