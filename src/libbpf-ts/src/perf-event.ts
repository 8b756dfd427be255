// SPDX-License-Identifier: MIT
/** Programs that run when a counter of the processor or of the kernel has counted on: sampling. */
import { integer, MAX_INT } from './border';
import { UsageError } from './errors';
import { attachLink } from './attach-link';
import { type Link } from './link';
import { CStruct, libc } from './native/ffi';
import { libbpf } from './native/libbpf';
import { openPerfEvent, type PerfEvent } from './perf-open';
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
  const checked = (name: string, value: number | undefined, least = 0, most = MAX_INT): number | undefined =>
    value === undefined ? undefined : integer(operation, name, value, least, most);
  const wanted: PerfEvent = {
    type: integer(operation, 'event.type', type, 0, MAX_INT),
    config: integer(operation, 'event.config', config, 0, Number.MAX_SAFE_INTEGER),
    frequency: checked('frequency', frequency, 1, Number.MAX_SAFE_INTEGER),
    period: checked('period', period, 1, Number.MAX_SAFE_INTEGER),
    pid: checked('pid', pid),
    cpu: checked('cpu', cpu),
  };
  // bpf_perf_event_opts
  const options = new CStruct(16, true).setU64(8, cookieOf(operation, target.cookie));
  const kind = tracing('programs of perf events', target.cookie === undefined ? '4.9' : '5.15');
  const where = `to ${typeof event === 'string' ? event : `event ${type}:${config}`}`;
  // libbpf closes the descriptor with the link.
  const fd = openPerfEvent('perf_event_open', wanted);
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
