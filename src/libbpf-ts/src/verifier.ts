// SPDX-License-Identifier: MIT
/** The verifier: the buffers for its log, and the reason for refusing a program. */
import { BpfError, Errno, errnoWords, NotSupportedError, systemError } from './errors';
import { probeFeature } from './features';
import { type Capability, lackingCapabilities } from './kernel';
import { loadAdvice } from './load-advice';
import { noteMapped, noteUnmapped } from './mmap';
import { type Address, lastErrno, libc } from './native/ffi';
import { libbpf } from './native/libbpf';
import { bounded } from './reasons';
import { suggestionFor } from './refusals';
import { AttachType, ProgramType } from './uapi';

/** Lines at the end of every log that explain nothing. */
const epilogue =
  /^(processed \d+ insns|verification time|stack depth|insns processed|-- (BEGIN|END) |mark_precise|(cur|old) state: )/;

/** First line of what Linux 7.3 adds after the complaint: a report of several parts, with advice at its end. */
const report = /^Verification failed:/;

/** Characters of a line of a log in a message. */
const LINE_MAX = 300;

/** A line of the program in C. */
export interface SourceLine {
  readonly text: string;
  /** The file as the compiler was told; from Linux 6.10 on. */
  readonly file?: string;
  readonly line?: number;
}

/** What a log says. */
export interface LogSummary {
  /** The last line that is neither a statistic nor part of a report: the reason. Empty for an empty log. */
  readonly complaint: string;
  /** Number of other lines. */
  readonly omitted: number;
  /**
   * The line of the program at which the verifier stopped; undefined for a program without BTF, from which the log
   * quotes.
   */
  readonly source: SourceLine | undefined;
}

/** Finds the reason in a log. @param log as the kernel wrote it */
export function readLog(log: string): LogSummary {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) return { complaint: '', omitted: 0, source: undefined };
  const reportAt = lines.findIndex((line) => report.test(line));
  let index = (reportAt > 0 ? reportAt : lines.length) - 1;
  while (index > 0 && epilogue.test(lines[index]!)) index--;
  const complaint = complaintAt(lines, index);
  return { complaint, omitted: lines.length - 1, source: sourceBefore(lines, index) };
}

/** What is wrong with the arguments of a function, the line before says. */
function complaintAt(lines: readonly string[], index: number): string {
  const line = lines[index]!;
  const before = lines[index - 1];
  const isWhole =
    before === undefined || !line.startsWith('Caller passes invalid args') || /^(?:\d+: |; )/.test(before);
  return bounded(isWhole ? line : `${line}: ${before}`, LINE_MAX);
}

function sourceBefore(lines: readonly string[], index: number): SourceLine | undefined {
  for (let at = index; at >= 0; at--) {
    // Registers follow a semicolon, too, where the beginning of a log is cut off.
    const match = /^; (?!R\d+[_=(])(.*?)(?: @ (\S+):(\d+))?$/.exec(lines[at]!);
    // The compiler puts line 0, without a text, before what it has moved.
    if (!match || match[1] === '') continue;
    const text = bounded(match[1]!, LINE_MAX);
    return match[2] === undefined ? { text } : { text, file: bounded(match[2], LINE_MAX), line: Number(match[3]) };
  }
  return undefined;
}

function reasonIn({ complaint, omitted }: LogSummary): string {
  if (complaint === '') return 'refused without a log';
  return omitted === 0 ? complaint : `${complaint} (${omitted} line${omitted === 1 ? '' : 's'} omitted)`;
}

/**
 * One line that says why the verifier refused a program: the last line that is neither a statistic nor part of a
 * report, and the number of the other lines.
 *
 * @param log the verifier log as the kernel wrote it
 */
export const summarizeLog = (log: string): string => reasonIn(readLog(log));

/** Reason, place and remedy. */
function inOneLine(summary: LogSummary, suggestion: string | undefined): string {
  const { source } = summary;
  const place = source?.file === undefined ? '' : ` (${source.file}:${source.line})`;
  const where = source === undefined ? '' : `, at "${source.text}"${place}`;
  return `${reasonIn(summary)}${where}${suggestion === undefined ? '' : `; ${suggestion}`}`;
}

/** Reports that the kernel's verifier refused a program. */
export class VerifierError extends BpfError {
  override readonly name = 'VerifierError';
  /** The whole verifier log. */
  readonly log: string;
  /** Name of the refused program. */
  readonly program: string;
  /** The line of the log that states the reason. */
  readonly reason: string;
  /** The line of the program at which the verifier stopped, if its log has it. */
  readonly source: SourceLine | undefined;
  /** What to change, for the commonest reasons. */
  readonly suggestion: string | undefined;

  constructor(program: string, log: string, errno: number, messages: readonly string[] = []) {
    const summary = readLog(log);
    const suggestion = suggestionFor(summary.complaint);
    super(`load program ${program}: ${inOneLine(summary, suggestion)}`, {
      code: 'BPF_VERIFIER',
      errno,
      operation: 'bpf(BPF_PROG_LOAD)',
      messages,
    });
    this.program = program;
    this.log = log;
    this.reason = summary.complaint;
    this.source = summary.source;
    this.suggestion = suggestion;
  }
}

/**
 * The largest size that the verifier accepts on every kernel: UINT_MAX >> 8 (kernel/bpf/verifier.c, up to Linux 5.1).
 */
const LOG_SIZE = 16 * 1024 * 1024 - 4096;

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

/**
 * One buffer for the verifier's log of whichever program is refused: libbpf loads one program after another and stops at
 * the first that is refused. That of each program begins a byte later, so that the position of a log names its program.
 * Pages cost memory only when the kernel writes a log.
 */
export class LogBuffer implements Disposable {
  /** Bytes for each program. */
  readonly size = LOG_SIZE;
  readonly #length: number;
  readonly #programs: number;
  #address: Address;

  /** @param programs how many will be loaded */
  constructor(programs: number) {
    this.#programs = programs;
    this.#length = LOG_SIZE + programs;
    this.#address = libc.mmap(0, this.#length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0);
    if (this.#address === -1) throw systemError('mmap of a log buffer', lastErrno());
    noteMapped(this.#address, this.#length);
  }

  /** Where the log of a program begins. */
  address(program: number): Address {
    return this.#address + program;
  }

  /** The program whose buffer a log begins in; -1 if the kernel wrote none. */
  find(): number {
    const starts = new Uint8Array(this.#programs);
    libc.memcpy(starts, this.#address, starts.length);
    return starts.findIndex((byte) => byte !== 0);
  }

  /** The log of a program; empty if the kernel wrote none. */
  text(program: number): string {
    const from = this.#address + program;
    const bytes = Buffer.alloc(libc.strnlen(from, LOG_SIZE));
    libc.memcpy(bytes, from, bytes.length);
    return bytes.toString('utf8');
  }

  [Symbol.dispose](): void {
    if (this.#address === 0) return;
    noteUnmapped(this.#address);
    libc.munmap(this.#address, this.#length);
    this.#address = 0;
  }
}

/** How a load ended. */
export interface Load {
  /** Name of the object. */
  readonly object: string;
  /** The programs that were to be loaded. */
  readonly programs: readonly (readonly [name: string, handle: Address])[];
  /** All maps of the object, by name. */
  readonly maps: ReadonlyMap<string, Address>;
  readonly logs: LogBuffer;
  /** Positive. */
  readonly errno: number;
  readonly messages: readonly string[];
}

const capabilities: readonly Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'];

const trampolines: readonly number[] = [AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT, AttachType.MODIFY_RETURN];

const trampolineTypes: readonly number[] = [ProgramType.STRUCT_OPS, ProgramType.EXT, ProgramType.LSM];

/** Why an object could not be loaded. */
export function loadError({ object, programs, maps, logs, errno, messages }: Load): BpfError {
  const operation = `load ${object}`;
  if (errno === Errno.EAGAIN || errno === Errno.EINTR) {
    return new BpfError(
      `${operation}: ${errnoWords(errno)}: a signal interrupted the verifier each time; nothing is wrong with the object: open it and load it again`,
      { code: 'BPF_INTERRUPTED', errno, operation, messages },
    );
  }
  const named = programs.findIndex(([name]) => name === refusedProgram(messages));
  const refused = named < 0 && programs.length > 0 ? logs.find() : named;
  const log = refused < 0 ? '' : logs.text(refused);
  // With EPERM a log can say only that a privilege is missing; the capabilities say which one.
  if (log !== '' && errno !== Errno.EPERM) return new VerifierError(programs[refused]![0], log, errno, messages);
  // No privilege is missing: some kernels refuse such programs to every process, before they look at them.
  if (errno === Errno.EPERM && lackingCapabilities(capabilities).length === 0 && programs.some(usesTrampoline)) {
    const { title, minimumKernel, supported } = probeFeature('trampolines');
    if (supported === false) return new NotSupportedError(title, minimumKernel, { operation, errno, messages });
  }
  return systemError(operation, errno, capabilities, messages, loadAdvice(messages, maps, new Map(programs)));
}

/** The program that libbpf names. */
function refusedProgram(messages: readonly string[]): string | undefined {
  for (const message of messages) {
    const match = /^prog '(.+)': BPF program load failed: /.exec(message);
    if (match) return match[1];
  }
  return undefined;
}

const usesTrampoline = ([, handle]: readonly [string, Address]): boolean =>
  trampolineTypes.includes(libbpf.bpf_program__type(handle)) ||
  trampolines.includes(libbpf.bpf_program__expected_attach_type(handle));
