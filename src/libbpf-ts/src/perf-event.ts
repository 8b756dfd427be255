// SPDX-License-Identifier: MIT
/** Programs that run when a counter of the processor or of the kernel has counted on: sampling. */
import { integer, MAX_INT } from './border';
import { systemError, UsageError } from './errors';
import { attachLink } from './attach-link';
import { type Link } from './link';
import { CStruct, lastErrno, libc, SYSCALL } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { type Cookie, cookieOf, tracing } from './tracing';

/** What is counted: `perf_type_id` and its config (include/uapi/linux/perf_event.h). */
const EVENTS = {
  'cpu-clock': { type: 1, config: 0 },
  'task-clock': { type: 1, config: 1 },
  'page-faults': { type: 1, config: 2 },
  'context-switches': { type: 1, config: 3 },
  'cpu-cycles': { type: 0, config: 0 },
  instructions: { type: 0, config: 1 },
} as const;

export type PerfEventName = keyof typeof EVENTS;

/** Either `frequency` or `period`; either `cpu` or `pid`, or both. */
export interface PerfEventTarget {
  /** A name, or the numbers of perf_event_open(2). */
  readonly event: PerfEventName | { readonly type: number; readonly config: number };
  /** Samples a second. */
  readonly frequency?: number;
  /** Events from one sample to the next; nanoseconds for the clocks. */
  readonly period?: number;
  /** Only on this CPU. */
  readonly cpu?: number;
  /** Only in this process, 0 for the calling thread. */
  readonly pid?: number;
  /** Linux 5.15. */
  readonly cookie?: Cookie;
}

/** Offsets in `struct perf_event_attr`, and the size of its first version with all that is used here. */
const ATTR = { type: 0, size: 4, config: 8, sample: 16, flags: 40, bytes: 112 } as const;
/** Bit 10 of the flags: `sample` is a frequency. */
const FREQ = 1 << 10;
const PERF_FLAG_FD_CLOEXEC = 8;
const ANY = -1;

/**
 * Attaches a program (`SEC("perf_event")`) to an event that is opened for it (Linux 4.9).
 *
 * @throws BpfError: ENOENT or EOPNOTSUPP if the machine has no such event, as virtual machines have no `cpu-cycles`
 */
export function attachPerfEvent(program: BpfProgram, target: PerfEventTarget): Link {
  const operation = 'attach perf event';
  const { event, frequency, period, cpu, pid } = target;
  if ((frequency === undefined) === (period === undefined))
    throw new UsageError(operation, 'either frequency or period says how often');
  if (cpu === undefined && pid === undefined) throw new UsageError(operation, 'cpu or pid says where');
  const { type, config } = typeof event === 'string' ? namedEvent(operation, event) : event;
  const attributes = new CStruct(ATTR.bytes)
    .setU32(ATTR.type, integer(operation, 'event.type', type, 0, MAX_INT))
    .setU32(ATTR.size, ATTR.bytes)
    .setU64(ATTR.config, integer(operation, 'event.config', config, 0, Number.MAX_SAFE_INTEGER))
    .setU64(ATTR.sample, integer(operation, 'frequency or period', frequency ?? period, 1, Number.MAX_SAFE_INTEGER))
    .setU32(ATTR.flags, frequency === undefined ? 0 : FREQ);
  const on = (name: string, value: number | undefined): number =>
    value === undefined ? ANY : integer(operation, name, value, 0, MAX_INT);
  const fd = libc.perf_event_open(
    SYSCALL.perf_event_open,
    attributes.bytes,
    on('pid', pid),
    on('cpu', cpu),
    ANY,
    PERF_FLAG_FD_CLOEXEC,
  );
  if (fd < 0) throw systemError('perf_event_open', lastErrno(), ['CAP_PERFMON']);
  // bpf_perf_event_opts; libbpf closes the descriptor with the link.
  const options = new CStruct(16, true).setU64(8, cookieOf(operation, target.cookie));
  const kind = tracing('programs of perf events', target.cookie === undefined ? '4.9' : '5.15');
  const where = `to ${typeof event === 'string' ? event : `event ${type}:${config}`}`;
  try {
    return attachLink(program, where, kind, (it) => libbpf.bpf_program__attach_perf_event_opts(it, fd, options.bytes));
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function namedEvent(operation: string, name: string): { type: number; config: number } {
  if (Object.hasOwn(EVENTS, name)) return EVENTS[name as PerfEventName];
  throw new UsageError(operation, `there is no event "${name}"; there are: ${Object.keys(EVENTS).join(', ')}`);
}
