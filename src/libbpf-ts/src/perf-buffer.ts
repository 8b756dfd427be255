// SPDX-License-Identifier: MIT
/** Perf buffers: one ring for each CPU, which bpf_perf_event_output() fills, also before ring buffers (Linux 4.4). */
import { integer, uint32 } from './border';
import { UsageError } from './errors';
import { OwnedFd } from './fd';
import { onlineCpus } from './kernel';
import type { BpfMap } from './map';
import { MappedMemory, pageSize } from './mmap';
import { littleEndian } from './native/ffi';
import { openPerfEvent } from './perf-open';
import { aTurn, untilReadable } from './readiness';
import { loadAcquire } from './ring-reader';
import { MapType } from './uapi';

export interface PerfBufferOptions {
  /** Pages of each CPU's ring, a power of two; 8 unless given. */
  readonly pages?: number;
}

/** A record, or how many the kernel had no space for since the last one. */
export type PerfRecord =
  | { readonly cpu: number; readonly data: Uint8Array; readonly lost?: undefined }
  | { readonly cpu: number; readonly lost: number; readonly data?: undefined };

/** Offsets in `struct perf_event_mmap_page` (include/uapi/linux/perf_event.h). */
const HEAD = 1024;
const TAIL = 1032;
/** `enum perf_event_type` */
const LOST = 2;
const SAMPLE = 9;
/** `struct perf_event_header`: type, misc, size; a sample has a u32 length before its bytes, a loss id and number. */
const HEADER = { type: 0, size: 6, body: 8 } as const;
/** PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, PERF_SAMPLE_RAW */
const EVENT = { type: 1, config: 10, sampleType: 1 << 10 } as const;
/** The ring of one CPU. */
class CpuRing implements Disposable {
  readonly #cpu: number;
  readonly #fd: OwnedFd;
  readonly #mapping: MappedMemory;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #head: Int32Array;
  readonly #tail: BigUint64Array;

  constructor(cpu: number, pages: number) {
    this.#cpu = cpu;
    const fd = openPerfEvent(`perf_event_open on CPU ${cpu}`, { ...EVENT, period: 1, wakeup: 1, cpu });
    this.#fd = new OwnedFd(fd, `perf buffer of CPU ${cpu}`);
    try {
      this.#mapping = MappedMemory.map({ fd, length: (1 + pages) * pageSize() });
    } catch (error) {
      this.#fd.close();
      throw error;
    }
    const memory = this.#mapping.buffer;
    this.#bytes = new Uint8Array(memory, pageSize(), pages * pageSize());
    this.#view = new DataView(memory, pageSize(), pages * pageSize());
    this.#head = new Int32Array(memory, HEAD, 1);
    this.#tail = new BigUint64Array(memory, TAIL, 1);
  }

  get fd(): number {
    return this.#fd.value;
  }

  /** What is there, oldest first; its space is given back after each record. */
  *read(): Generator<PerfRecord> {
    const size = this.#bytes.length;
    for (;;) {
      const tail = this.#tail[0]!;
      const start = Number(tail & BigInt(size - 1));
      const ready = (loadAcquire(this.#head, 0) - Number(BigInt.asIntN(32, tail))) | 0;
      if (ready === 0) return;
      const type = this.#view.getUint32(start + HEADER.type, littleEndian);
      const length = this.#view.getUint16(start + HEADER.size, littleEndian);
      const body = this.#copy(start + HEADER.body, length - HEADER.body);
      Atomics.store(this.#tail, 0, tail + BigInt(length));
      const view = new DataView(body.buffer);
      if (type === SAMPLE) {
        yield { cpu: this.#cpu, data: body.subarray(4, 4 + view.getUint32(0, littleEndian)) };
      } else if (type === LOST) {
        yield { cpu: this.#cpu, lost: Number(view.getBigUint64(8, littleEndian)) };
      }
    }
  }

  close(): void {
    this.#mapping.close();
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Copies bytes, which may go on at the beginning of the ring. */
  #copy(from: number, length: number): Uint8Array {
    const size = this.#bytes.length;
    const at = from % size;
    const copy = new Uint8Array(length);
    const first = Math.min(length, size - at);
    copy.set(this.#bytes.subarray(at, at + first));
    copy.set(this.#bytes.subarray(0, length - first), first);
    return copy;
  }
}

/**
 * Reads what programs send through a PERF_EVENT_ARRAY. It owns a ring for each online CPU, which the map refers to
 * until close().
 */
export class PerfBuffer implements Disposable {
  readonly #rings: CpuRing[] = [];

  /**
   * @param map stays the caller's
   * @throws UsageError if it is not a PERF_EVENT_ARRAY; BpfError with the errno of perf_event_open(2)
   */
  constructor(map: BpfMap, { pages = 8 }: PerfBufferOptions = {}) {
    const operation = `perf buffer ${map.name}`;
    map.checkCompatible({ type: MapType.PERF_EVENT_ARRAY });
    if ((integer(operation, 'pages', pages, 1, 1 << 16) & (pages - 1)) !== 0)
      throw new UsageError(operation, `pages is ${pages}, not a power of two`);
    try {
      for (const cpu of onlineCpus()) {
        if (cpu >= map.maxEntries) continue;
        const ring = new CpuRing(cpu, pages);
        this.#rings.push(ring);
        map.set(new Uint8Array(new Uint32Array([cpu]).buffer), new Uint8Array(new Uint32Array([ring.fd]).buffer));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What is there now, CPU by CPU. */
  *read(): Generator<PerfRecord> {
    for (const ring of this.#rings) yield* ring.read();
  }

  /** Records as they come, until the signal; `budget` of them before the event loop has a turn. */
  async *records(
    options: { readonly signal?: AbortSignal; readonly budget?: number } = {},
  ): AsyncGenerator<PerfRecord> {
    const { signal } = options;
    const budget = uint32('records', 'budget', options.budget ?? 1024, 1);
    while (!signal?.aborted) {
      let count = 0;
      for (const record of this.read()) {
        yield record;
        if (signal?.aborted) return;
        if (++count % budget === 0) await aTurn();
      }
      if (count === 0) await this.#untilReadable(signal);
    }
  }

  close(): void {
    for (const ring of this.#rings) ring.close();
    this.#rings.length = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #untilReadable(signal: AbortSignal | undefined): Promise<void> {
    const enough = new AbortController();
    const either = signal ? AbortSignal.any([signal, enough.signal]) : enough.signal;
    const waits = this.#rings.map((ring) => untilReadable(ring.fd, either));
    await Promise.race(waits);
    enough.abort();
    await Promise.all(waits);
  }
}
