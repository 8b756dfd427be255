// SPDX-License-Identifier: MIT
import { descriptor, integer, MAX_INT, uint32 } from './border';
import { Bell, Epoll, ringBell } from './epoll';
import { Errno } from './errors';
import { requireKind } from './fd';
import type { BpfMap } from './map';
import { checkLayout, readMapInfo } from './map-info';
import { MappedMemory, pageSize } from './mmap';
import { RingReader } from './ring-reader';
import { MapType } from './uapi';

const DEFAULT_CAPACITY = 1024;

export interface RingBufferOptions {
  /** The most records that one lease can hold; defaults to 1024. */
  readonly capacity?: number;
}

/**
 * A ring's descriptor, borrowed, and its bytes of record space. Throws IncompatibleMapError if it is not a ring buffer.
 */
export function requireRing(map: BpfMap | number): { fd: number; size: number } {
  const fd = typeof map === 'number' ? descriptor('ring buffer', map) : map.fd;
  requireKind(fd, 'map', 'ring buffer');
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
    const capacity = uint32('ring buffer', 'capacity', options.capacity ?? DEFAULT_CAPACITY, 1);
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
      this.reader = new RingReader(memory, capacity);
    } catch (error) {
      for (const mapping of mappings) mapping.close();
      throw error;
    }
    this.#mappings = mappings;
  }

  /** Unmaps the ring. Remaining views read zeroes from then on; the kernel must be done with addresses passed to it. */
  close(): void {
    for (const mapping of this.#mappings) mapping.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Bytes of a ring buffer (Linux 5.8) that wait for its consumer, headers and padding included. For observers: maps only
 * the two pages with the positions, not the records, and does not change the ring.
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

/**
 * The longest wait in the kernel, in milliseconds. A thread that waits there cannot be ended, so a longer wait, or one
 * for ever, is a sequence of shorter ones: process.exit() and terminate() take effect between two.
 */
const WHOLE_MS = 1000;
const PART_MS = 250;

/** Ends the wait() of the waiter with this {@link RingWaiter.wakeFd}; can be called from any thread of the process. */
export function wakeWaiter(wakeFd: number): void {
  ringBell(wakeFd);
}

/**
 * Sleeps until a ring has records or wakeWaiter() is called.
 *
 * The kernel wakes a waiter when a record is submitted with BPF_RB_FORCE_WAKEUP, or, with default flags, when the
 * consumer had caught up. A record submitted with BPF_RB_NO_WAKEUP wakes no waiter: check {@link RingReader.isEmpty}
 * before waiting and again after a timeout.
 */
export class RingWaiter implements Disposable {
  /** wait() flag: the ring has records. */
  static readonly RING = 1;
  /** wait() flag: {@link wakeWaiter} was called. */
  static readonly WAKE = 2;

  readonly #epoll = new Epoll('waiter');
  readonly #bell: Bell;

  /** @param ring the ring's map or descriptor, which stays the caller's and must stay open */
  constructor(ring?: BpfMap | number) {
    try {
      this.#bell = new Bell('waiter');
    } catch (error) {
      this.#epoll.close();
      throw error;
    }
    try {
      this.add(this.#bell.fd, RingWaiter.WAKE);
      if (ring !== undefined) this.add(typeof ring === 'number' ? ring : ring.fd, RingWaiter.RING);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Descriptor to pass to {@link wakeWaiter} in another thread; owned by this object. */
  get wakeFd(): number {
    return this.#bell.fd;
  }

  /**
   * Watches another descriptor for input, level-triggered; it stays the caller's and must stay open.
   *
   * @param bit the flag that wait() returns for it; several descriptors may share one
   */
  add(fd: number, bit: number): void {
    descriptor('watch', fd);
    uint32('watch', 'bit', bit, 1);
    this.#epoll.add(fd, bit);
  }

  /** Stops watching a descriptor; does nothing if it was not watched. Call it before the descriptor is closed. */
  remove(fd: number): void {
    this.#epoll.remove(fd, Errno.ENOENT);
  }

  /**
   * Waits, which blocks the calling thread and its event loop, so call it in a worker.
   *
   * @param timeoutMs milliseconds; 0 only checks, -1 waits forever
   * @returns flags of what is ready; 0 after a timeout, or, if it is of a second at most, after a signal
   */
  wait(timeoutMs: number): number {
    const timeout = integer('wait', 'timeoutMs', Math.ceil(timeoutMs), -1, MAX_INT);
    if (timeout >= 0 && timeout <= WHOLE_MS) return this.#wait(timeout);
    const end = timeout < 0 ? Infinity : performance.now() + timeout;
    for (;;) {
      const left = Math.ceil(end - performance.now());
      const flags = this.#wait(Math.max(0, Math.min(PART_MS, left)));
      if (flags !== 0 || left <= PART_MS) return flags;
    }
  }

  #wait(timeoutMs: number): number {
    const ready = this.#epoll.wait(timeoutMs);
    let flags = 0;
    for (let i = 0; i < ready; i++) flags |= this.#epoll.data(i);
    if ((flags & RingWaiter.WAKE) !== 0) this.#bell.silence();
    return flags;
  }

  /** Calls {@link wakeWaiter} for this waiter; harmless after close(). */
  wake(): void {
    this.#bell.ring();
  }

  close(): void {
    this.#bell.close();
    this.#epoll.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
