// SPDX-License-Identifier: MIT
import { bytesOf, integer, MAX_INT, uint32 } from './border';
import { check, UsageError } from './errors';
import { openPinnedFd, OwnedFd, pinFd, requireKind } from './fd';
import { openFdById } from './ids';
import type { Link } from './link';
import { type Address, CStruct, stableBytes, stableCopy } from './native/ffi';
import { libbpf } from './native/libbpf';
import { ProgramType } from './uapi';

export interface TestRunOptions {
  /** Packet or other input of the program; TC programs need at least 14 bytes. */
  readonly data?: Uint8Array;
  /** Context, for example a `struct __sk_buff`. */
  readonly ctx?: Uint8Array;
  /** Number of runs; the duration is their average. Defaults to 1. */
  readonly repeat?: number;
  /** Space for the data after the run, in bytes; defaults to the input's length plus 256. */
  readonly dataOutSize?: number;
  /** Raw tracepoint programs: the CPU on which to run. */
  readonly cpu?: number;
}

/** BPF_F_TEST_RUN_ON_CPU */
const TEST_RUN_ON_CPU = 1;

/** Programs that the kernel runs with nothing but a context (bpf_prog_test_run_syscall, bpf_prog_test_run_raw_tp). */
const CONTEXT_ONLY: ReadonlyMap<number, string> = new Map([
  [ProgramType.RAW_TRACEPOINT, 'raw tracepoint'],
  [ProgramType.RAW_TRACEPOINT_WRITABLE, 'raw tracepoint'],
  [ProgramType.SYSCALL, 'syscall'],
]);

export interface TestRunResult {
  /** The program's return value, as u32. */
  readonly retval: number;
  /** The data after the run. */
  readonly data: Uint8Array;
  /** The context after the run; empty if none was given. */
  readonly ctx: Uint8Array;
  /** Nanoseconds per run. */
  readonly durationNs: number;
}

/**
 * A loaded BPF program. It owns its file descriptor (close-on-exec); the program exists in the kernel as long as a
 * descriptor, a pin or an attachment holds it. Close it when done. Minimum kernel 4.13 (program info).
 */
export class BpfProgram implements Disposable {
  /** Name in the object file, or else the kernel's name, which is cut to 15 characters. */
  readonly name: string;
  /** The kernel's number for the program, unique while it exists. */
  readonly id: number;
  /** `enum bpf_prog_type` */
  readonly type: number;
  /** SHA-1 over the instructions, cut by the kernel to 8 bytes, in hexadecimal. */
  readonly tag: string;
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd, name?: string) {
    this.#fd = fd;
    const size = 232;
    const info = new CStruct(size);
    try {
      requireKind(fd.value, 'program', `open program ${name ?? fd.value}`);
      const error = libbpf.bpf_obj_get_info_by_fd(fd.value, info.bytes, new Uint32Array([size]));
      check(error, 'bpf(BPF_OBJ_GET_INFO_BY_FD)', ['CAP_BPF']);
    } catch (error) {
      fd.close();
      throw error;
    }
    this.type = info.u32(0);
    this.id = info.u32(4);
    this.tag = Buffer.from(info.bytes.subarray(8, 16)).toString('hex');
    this.name = name ?? info.text(64, 16);
  }

  /** Opens the program pinned at `path`. Throws BpfError, for example ENOENT; `BPF_USAGE` for a pin of anything else. */
  static openPinned(path: string): BpfProgram {
    return new BpfProgram(openPinnedFd(path, 'program'));
  }

  /** Opens the program with a number of the kernel. Throws BpfError: ENOENT; EPERM without CAP_SYS_ADMIN. */
  static fromId(id: number): BpfProgram {
    return new BpfProgram(openFdById('program', id));
  }

  /** A new handle with a duplicate of `fd`, which stays the caller's. */
  static fromFd(fd: number, name?: string): BpfProgram {
    return new BpfProgram(OwnedFd.duplicate(fd, `program ${name ?? fd}`), name);
  }

  /** Owned by this object: do not close it. Throws `BPF_USAGE` after close(). */
  get fd(): number {
    return this.#fd.value;
  }

  /** Pins the program at a new path on a bpffs; unpin with fs.unlinkSync. */
  pin(path: string): void {
    pinFd(this.fd, path);
  }

  /**
   * Runs the program once or more without attaching it (BPF_PROG_TEST_RUN, Linux 4.12; raw tracepoints 5.10, syscall
   * programs 5.14).
   *
   * Syscall and raw tracepoint programs are run once, with a context alone; a syscall program may change it.
   *
   * @throws UsageError for options that this kind of program does not have; BpfError, ENOTSUPP for a kind of program
   *   that the kernel cannot run this way
   */
  testRun(options: TestRunOptions = {}): TestRunResult {
    const operation = `test run of ${this.name}`;
    const kind = CONTEXT_ONLY.get(this.type);
    const { data, ctx, cpu } = options;
    const repeat = uint32(operation, 'repeat', options.repeat ?? (kind ? 0 : 1));
    if (kind !== undefined && (data !== undefined || options.dataOutSize !== undefined || repeat > 1)) {
      throw new UsageError(operation, `a ${kind} program is run once, with ctx alone`);
    }
    if (data !== undefined) bytesOf(operation, 'data', data);
    if (ctx !== undefined) bytesOf(operation, 'ctx', ctx);
    const space = integer(operation, 'dataOutSize', options.dataOutSize ?? (data?.length ?? 0) + 256, 0, MAX_INT);
    const dataOut = stableBytes(data ? space : 0);
    // A syscall program changes its context in place.
    const ctxIn = ctx ? stableCopy(ctx) : undefined;
    const ctxOut = kind === undefined ? stableBytes(ctx?.length ?? 0) : (ctxIn ?? stableBytes(0));
    const run = new CStruct(80, true);
    if (data) {
      run.setPointer(8, stableCopy(data)).setU32(24, data.length);
      run.setPointer(16, dataOut).setU32(28, dataOut.length);
    }
    if (ctxIn) {
      run.setPointer(32, ctxIn).setU32(48, ctxIn.length);
      if (kind === undefined) run.setPointer(40, ctxOut).setU32(52, ctxOut.length);
    }
    run.setU32(60, kind === undefined ? repeat : 0);
    if (cpu !== undefined) run.setU32(68, TEST_RUN_ON_CPU).setU32(72, uint32(operation, 'cpu', cpu));
    check(libbpf.bpf_prog_test_run_opts(this.fd, run.bytes), 'bpf(BPF_PROG_TEST_RUN)', ['CAP_BPF', 'CAP_NET_ADMIN']);
    return {
      retval: run.u32(56),
      data: dataOut.slice(0, run.u32(28)),
      ctx: ctxOut.slice(0, kind === undefined ? run.u32(52) : ctxOut.length),
      durationNs: run.u32(64),
    };
  }

  /**
   * Attaches the program to what its section names, such as `kprobe/do_unlinkat`, `fentry/...` or `iter/task`. It must
   * come from BpfObject.program(), and the object must still be open.
   *
   * @throws UsageError if the section names no place, as `xdp` and `tc` do; BpfError with the reason of the kernel or
   *   of libbpf
   */
  attach(): Link {
    return originOf(this, `attach ${this.name}`).attach();
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The object that a program came from. */
interface Origin {
  /** libbpf's own record of the program; throws once the object is closed. */
  readonly handle: () => Address;
  readonly attach: () => Link;
}

const origins = new WeakMap<BpfProgram, Origin>();

export function setOrigin(program: BpfProgram, origin: Origin): void {
  origins.set(program, origin);
}

function originOf(program: BpfProgram, operation: string): Origin {
  const origin = origins.get(program);
  if (!origin) throw new UsageError(operation, 'it was not taken from a BpfObject, which knows how');
  return origin;
}

/** The `struct bpf_program *`. Throws `BPF_USAGE` for a program without an object, or whose object is closed. */
export const handleOf = (program: BpfProgram): Address => originOf(program, `attach ${program.name}`).handle();
