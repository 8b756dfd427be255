// SPDX-License-Identifier: MIT
/** The verifier: the buffers for its log, and the reason for refusing a program. */
import { BpfError, Errno, NotSupportedError, systemError } from './errors';
import { probeFeature } from './features';
import { type Capability, lackingCapabilities } from './kernel';
import { MappedMemory } from './mmap';
import type { Address } from './native/ffi';
import { libbpf } from './native/libbpf';
import { AttachType } from './uapi';

/** Lines at the end of every log that explain nothing. */
const epilogue = /^(processed \d+ insns|verification time|stack depth|insns processed|-- (BEGIN|END) |mark_precise)/;

/** First line of what Linux 7.3 adds after the complaint: a report of several parts, with advice at its end. */
const report = /^Verification failed:/;

/**
 * One line that says why the verifier refused a program: the last line that is neither a statistic nor part of a
 * report, and the number of the other lines.
 *
 * @param log the verifier log as the kernel wrote it
 */
export function summarizeLog(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) return 'refused without a log';
  const reportAt = lines.findIndex((line) => report.test(line));
  let index = (reportAt > 0 ? reportAt : lines.length) - 1;
  while (index > 0 && epilogue.test(lines[index]!)) index--;
  const omitted = lines.length - 1;
  return omitted === 0 ? lines[index]! : `${lines[index]!} (${omitted} line${omitted === 1 ? '' : 's'} omitted)`;
}

/** Reports that the kernel's verifier refused a program. */
export class VerifierError extends BpfError {
  override readonly name = 'VerifierError';
  /** The whole verifier log. */
  readonly log: string;
  /** Name of the refused program. */
  readonly program: string;

  constructor(program: string, log: string, errno: number) {
    super(`load program ${program}: ${summarizeLog(log)}`, {
      code: 'BPF_VERIFIER',
      errno,
      operation: 'bpf(BPF_PROG_LOAD)',
    });
    this.program = program;
    this.log = log;
  }
}

/**
 * The largest size that the verifier accepts on every kernel: UINT_MAX >> 8 (kernel/bpf/verifier.c, up to Linux 5.1).
 */
const LOG_SIZE = 16 * 1024 * 1024 - 4096;

/** A verifier log buffer for each program; pages cost memory only when the kernel writes a log. */
export class LogBuffers implements Disposable {
  /** Bytes of each buffer. */
  readonly size = LOG_SIZE;
  readonly #memory: MappedMemory | undefined;

  constructor(count: number) {
    this.#memory = count === 0 ? undefined : MappedMemory.map({ length: count * LOG_SIZE });
  }

  address(index: number): number {
    return this.#memory!.address + index * LOG_SIZE;
  }

  /** The log that the kernel wrote; empty if there is none. */
  text(index: number): string {
    const bytes = new Uint8Array(this.#memory!.buffer, index * LOG_SIZE, LOG_SIZE);
    return Buffer.from(bytes.subarray(0, Math.max(0, bytes.indexOf(0)))).toString('utf8');
  }

  [Symbol.dispose](): void {
    this.#memory?.close();
  }
}

/** A program that was to be loaded. */
export interface WantedProgram {
  readonly name: string;
  readonly handle: Address;
  /** The verifier's log; empty if the verifier did not run, or wrote nothing. */
  readonly log: string;
}

const capabilities: readonly Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'];

const trampolines: readonly number[] = [AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT, AttachType.MODIFY_RETURN];

/** Why an object could not be loaded. @param errno positive */
export function loadError(object: string, programs: readonly WantedProgram[], errno: number): BpfError {
  const operation = `load ${object}`;
  const refused = programs.find(({ log }) => log !== '');
  // With EPERM a log can say only that a privilege is missing; the capabilities say which one.
  if (refused && errno !== Errno.EPERM) return new VerifierError(refused.name, refused.log, errno);
  // No privilege is missing: some kernels refuse such programs to every process, before they look at them.
  if (errno === Errno.EPERM && lackingCapabilities(capabilities).length === 0 && programs.some(usesTrampoline)) {
    const { title, minimumKernel, supported } = probeFeature('trampolines');
    if (supported === false) return new NotSupportedError(title, minimumKernel, { operation, errno });
  }
  return systemError(operation, errno, capabilities);
}

const usesTrampoline = ({ handle }: WantedProgram): boolean =>
  trampolines.includes(libbpf.bpf_program__expected_attach_type(handle));
