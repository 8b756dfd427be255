// SPDX-License-Identifier: MIT
import { check, UsageError } from './errors';
import { openPinnedFd, OwnedFd, pinFd } from './fd';
import { type Address, CStruct, stableBytes, stableCopy } from './native/ffi';
import { libbpf } from './native/libbpf';

export interface TestRunOptions {
  /** Packet or other input of the program; TC programs need at least 14 bytes. */
  readonly data?: Uint8Array;
  /** Context, for example a `struct __sk_buff`. */
  readonly ctx?: Uint8Array;
  /** Number of runs; the duration is their average. Defaults to 1. */
  readonly repeat?: number;
  /** Space for the data after the run, in bytes; defaults to the input's length plus 256. */
  readonly dataOutSize?: number;
}

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

  /** Opens the program pinned at `path`. Throws BpfError, for example ENOENT. */
  static openPinned(path: string): BpfProgram {
    return new BpfProgram(openPinnedFd(path, `program ${path}`));
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

  /** Runs the program once or more without attaching it (BPF_PROG_TEST_RUN, Linux 4.12). */
  testRun(options: TestRunOptions = {}): TestRunResult {
    const { data, ctx, repeat = 1 } = options;
    const dataOut = stableBytes(data ? (options.dataOutSize ?? data.length + 256) : 0);
    const ctxOut = stableBytes(ctx?.length ?? 0);
    const run = new CStruct(80, true);
    if (data) {
      run.setPointer(8, stableCopy(data)).setU32(24, data.length);
      run.setPointer(16, dataOut).setU32(28, dataOut.length);
    }
    if (ctx) {
      run.setPointer(32, stableCopy(ctx)).setU32(48, ctx.length);
      run.setPointer(40, ctxOut).setU32(52, ctxOut.length);
    }
    run.setU32(60, repeat);
    check(libbpf.bpf_prog_test_run_opts(this.fd, run.bytes), 'bpf(BPF_PROG_TEST_RUN)', ['CAP_BPF', 'CAP_NET_ADMIN']);
    return {
      retval: run.u32(56),
      data: dataOut.slice(0, run.u32(28)),
      ctx: ctxOut.slice(0, run.u32(52)),
      durationNs: run.u32(64),
    };
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Finds libbpf's own record of a program; throws once the object that contains it is closed. */
const handles = new WeakMap<BpfProgram, () => Address>();

export function setHandle(program: BpfProgram, handle: () => Address): void {
  handles.set(program, handle);
}

/** The `struct bpf_program *`. Throws `BPF_USAGE` for a program without an object, or whose object is closed. */
export function handleOf(program: BpfProgram): Address {
  const handle = handles.get(program);
  if (!handle) throw new UsageError(`attach ${program.name}`, 'it was not taken from a BpfObject, which knows how');
  return handle();
}
