// SPDX-License-Identifier: MIT
/** Opening events: perf_event_open(2). */
import { systemError } from './errors';
import { CStruct, lastErrno, libc, SYSCALL } from './native/ffi';

export interface PerfEvent {
  /** `perf_type_id`, and a number of that type (include/uapi/linux/perf_event.h). */
  readonly type: number;
  readonly config: number;
  /** Events from one sample to the next. */
  readonly period?: number | undefined;
  /** Samples a second, in place of a period. */
  readonly frequency?: number | undefined;
  /** What a sample has: `PERF_SAMPLE_...`. */
  readonly sampleType?: number | undefined;
  /** Samples from one wake-up to the next. */
  readonly wakeup?: number | undefined;
  /** Only this process, 0 for the calling thread. */
  readonly pid?: number | undefined;
  /** Only this CPU. */
  readonly cpu?: number | undefined;
}

/** Offsets in `struct perf_event_attr`, and the size of its first version with all that is used here. */
const ATTR = { type: 0, size: 4, config: 8, sample: 16, sampleType: 24, flags: 40, wakeup: 48, bytes: 112 } as const;
/** Bit 10 of the flags: `sample` is a frequency. */
const FREQ = 1 << 10;
const PERF_FLAG_FD_CLOEXEC = 8;
const ANY = -1;

/** Opens an event. Returns its descriptor, which is the caller's. */
export function openPerfEvent(operation: string, event: PerfEvent): number {
  const { type, config, period = 0, frequency, sampleType = 0, wakeup = 0, pid = ANY, cpu = ANY } = event;
  const attributes = new CStruct(ATTR.bytes)
    .setU32(ATTR.type, type)
    .setU32(ATTR.size, ATTR.bytes)
    .setU64(ATTR.config, config)
    .setU64(ATTR.sample, frequency ?? period)
    .setU64(ATTR.sampleType, sampleType)
    .setU32(ATTR.flags, frequency === undefined ? 0 : FREQ)
    .setU32(ATTR.wakeup, wakeup);
  const fd = libc.perf_event_open(SYSCALL.perf_event_open, attributes.bytes, pid, cpu, ANY, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) throw systemError(operation, lastErrno(), ['CAP_PERFMON']);
  return fd;
}
