// SPDX-License-Identifier: MIT
/** User ring buffers: records from user space to a program, which reads them with bpf_user_ringbuf_drain() (Linux 6.1). */
import { bytesOf } from './border';
import { Errno, systemError, UsageError } from './errors';
import type { BpfMap } from './map';
import { type Address, lastErrno, viewMemory } from './native/ffi';
import { libbpf } from './native/libbpf';
import { MapType } from './uapi';

/** The writer of a user ring buffer; there may be only one at a time. It keeps the ring alive until close(). */
export class UserRingBuffer implements Disposable {
  readonly #name: string;
  #ring: Address;

  /**
   * @param map a USER_RINGBUF, which stays the caller's
   * @throws IncompatibleMapError for another type; OldLibraryError before libbpf 1.1
   */
  constructor(map: BpfMap) {
    map.checkCompatible({ type: MapType.USER_RINGBUF });
    this.#name = map.name;
    this.#ring = libbpf.user_ring_buffer__new(map.fd, null);
    if (this.#ring === 0) throw systemError(`user ring buffer ${map.name}`, lastErrno(), ['CAP_BPF']);
  }

  /**
   * Adds a record.
   *
   * @returns false if there is no space for it now
   * @throws BpfError: E2BIG if the ring is smaller than the record
   */
  submit(record: Uint8Array): boolean {
    const operation = `submit to user ring buffer ${this.#name}`;
    if (this.#ring === 0) throw new UsageError(operation, 'is closed');
    if (bytesOf(operation, 'record', record).length === 0) throw new UsageError(operation, 'the record is empty');
    const place = libbpf.user_ring_buffer__reserve(this.#ring, record.length);
    if (place === 0) {
      const errno = lastErrno();
      if (errno === Errno.ENOSPC) return false;
      throw systemError(operation, errno);
    }
    new Uint8Array(viewMemory(place, record.length)).set(record);
    libbpf.user_ring_buffer__submit(this.#ring, place);
    return true;
  }

  close(): void {
    const ring = this.#ring;
    this.#ring = 0;
    if (ring !== 0) libbpf.user_ring_buffer__free(ring);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
