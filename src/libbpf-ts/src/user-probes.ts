// SPDX-License-Identifier: MIT
/** Programs that run when a process comes to a place of its own code. */
import { integer, MAX_INT, text } from './border';
import { UsageError } from './errors';
import { attachByRequest, attachLink } from './attach-link';
import type { Link } from './link';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';
import { type Cookie, cookieOf, tracing } from './tracing';
import { AttachType } from './uapi';

interface UserCode {
  /** A program or library: a path, or a name that libbpf looks up in PATH and in the directories of libraries. */
  readonly path: string;
  /** Only in this process, 0 for the calling one; in every process unless given. */
  readonly pid?: number;
}

export interface UprobeTarget extends UserCode {
  /** A function's name in the symbol table. */
  readonly function?: string;
  /** Bytes from the beginning of the function, or of the file if no function is given. */
  readonly offset?: number;
  /** Whether to run when the function returns (uretprobe). */
  readonly onReturn?: boolean;
  /** Linux 5.15. */
  readonly cookie?: Cookie;
}

/** Either `pattern`, for which libbpf 1.3 is needed, or `offsets`. */
export interface UprobeMultiTarget extends UserCode {
  /** Names of functions with `*` and `?`. */
  readonly pattern?: string;
  /** Bytes from the beginning of the file. */
  readonly offsets?: readonly number[];
  readonly onReturn?: boolean;
}

export interface UsdtTarget extends UserCode {
  /** Such as `libc`. */
  readonly provider: string;
  /** Such as `setjmp`. */
  readonly name: string;
  /** Linux 5.15. */
  readonly cookie?: Cookie;
}

const EVERY_PROCESS = -1;

const pidOf = (operation: string, pid: number | undefined): number =>
  pid === undefined ? EVERY_PROCESS : integer(operation, 'pid', pid, 0, MAX_INT);

/**
 * Attaches to the call or the return of a function in user space, or to any instruction (Linux 4.1).
 *
 * @throws BpfError: ENOENT if there is no such file or function
 */
export function attachUprobe(program: BpfProgram, target: UprobeTarget): Link {
  const operation = 'attach uprobe';
  const path = text(operation, 'path', target.path);
  if (target.function === undefined && target.offset === undefined)
    throw new UsageError(operation, 'either function or offset says where');
  const offset = integer(operation, 'offset', target.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
  // bpf_uprobe_opts: ref_ctr_offset, bpf_cookie, retprobe, func_name
  const options = new CStruct(40, true)
    .setU64(16, cookieOf(operation, target.cookie))
    .setU32(24, Number(target.onReturn ?? false));
  if (target.function !== undefined) options.setPointer(32, text(operation, 'function', target.function));
  const where = `to ${target.function ?? `offset ${offset}`} of ${path} (${target.onReturn ? 'uretprobe' : 'uprobe'})`;
  const kind = tracing('tracing with uprobes (CONFIG_UPROBE_EVENTS)', target.cookie === undefined ? '4.1' : '5.15');
  return attachLink(program, where, kind, (it) =>
    libbpf.bpf_program__attach_uprobe_opts(it, pidOf(operation, target.pid), path, offset, options.bytes),
  );
}

/** BPF_F_UPROBE_MULTI_RETURN */
const MULTI_RETURN = 1;

/**
 * Attaches to many places of a file at once (Linux 6.6). The program's section is `uprobe.multi` or
 * `uretprobe.multi`.
 *
 * @throws OldLibraryError (`LIBBPF_TOO_OLD`) for a pattern before libbpf 1.3; NotSupportedError
 */
export function attachUprobeMulti(program: BpfProgram, target: UprobeMultiTarget): Link {
  const operation = 'attach uprobes';
  const path = text(operation, 'path', target.path);
  const { pattern, offsets = [], onReturn = false } = target;
  if ((pattern === undefined) === (offsets.length === 0))
    throw new UsageError(operation, 'either pattern or offsets says where');
  const pid = pidOf(operation, target.pid);
  const kind = tracing('many uprobes in one link', '6.6');
  const where = `to ${pattern ?? `${offsets.length} places`} of ${path} (uprobe.multi)`;
  if (pattern !== undefined) {
    text(operation, 'pattern', pattern);
    // bpf_uprobe_multi_opts: syms, offsets, ref_ctr_offsets, cookies, cnt, retprobe
    const options = new CStruct(56, true).setU32(48, Number(onReturn));
    return attachLink(program, where, kind, (it) =>
      libbpf.bpf_program__attach_uprobe_multi(it, pid, path, pattern, options.bytes),
    );
  }
  const places = new CStruct(8 * offsets.length);
  offsets.forEach((offset, i) =>
    places.setU64(8 * i, integer(operation, `offsets[${i}]`, offset, 0, Number.MAX_SAFE_INTEGER)),
  );
  return attachByRequest(program, where, kind, {
    target: 0,
    attachType: AttachType.TRACE_UPROBE_MULTI,
    // path, offsets, ref_ctr_offsets, cookies, cnt, flags, pid; pid 0 is every process
    details: (attributes, at) =>
      attributes
        .setPointer(at, path)
        .setPointer(at + 8, places)
        .setU32(at + 32, offsets.length)
        .setU32(at + 36, onReturn ? MULTI_RETURN : 0)
        .setU32(at + 40, pid === EVERY_PROCESS ? 0 : pid === 0 ? process.pid : pid),
  });
}

/**
 * Attaches to the static probe of a program or library (USDT, `DTRACE_PROBE` in its source). The program is made with
 * `SEC("usdt")` and `BPF_USDT` of bpf/usdt.bpf.h.
 *
 * @throws BpfError: ENOENT if there is no such probe
 */
export function attachUsdt(program: BpfProgram, target: UsdtTarget): Link {
  const operation = 'attach USDT';
  const path = text(operation, 'path', target.path);
  const provider = text(operation, 'provider', target.provider);
  const name = text(operation, 'name', target.name);
  // bpf_usdt_opts
  const options = new CStruct(16, true).setU64(8, cookieOf(operation, target.cookie));
  const kind = tracing('static probes of programs (USDT)', target.cookie === undefined ? '4.20' : '5.15');
  return attachLink(program, `to ${provider}:${name} of ${path} (USDT)`, kind, (it) =>
    libbpf.bpf_program__attach_usdt(it, pidOf(operation, target.pid), path, provider, name, options.bytes),
  );
}
