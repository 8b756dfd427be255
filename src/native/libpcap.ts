// SPDX-License-Identifier: MIT
/** libpcap's filter compiler, loaded on first use. */
import { VnetError } from '../errors';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });

type Native<Result> = (...args: (number | string | Uint8Array)[]) => Result;

interface Libpcap {
  openDead: Native<number>;
  compile: Native<number>;
  error: Native<string>;
  freeCode: Native<void>;
  close: Native<void>;
  copy: Native<number>;
}

/** File names of the library: on Debian and Ubuntu, and on other distributions. */
const NAMES = ['libpcap.so.0.8', 'libpcap.so.1'] as const;
const LINKTYPE_ETHERNET = 1;
const SNAPLEN = 262144;
/** PCAP_NETMASK_UNKNOWN: filters cannot use `ip broadcast`. */
const NETMASK_UNKNOWN = 0xffffffff;

/**
 * Layout of struct bpf_program, which has the number of instructions and the address of the first one, and of struct
 * bpf_insn (u16, u8, u8, u32).
 */
const PROGRAM = { size: 16, count: 0, address: 8 } as const;
export const INSTRUCTION = { size: 8, code: 0, jt: 2, jf: 3, k: 4 } as const;

let loaded: Libpcap | undefined;

function load(names: readonly string[]): Libpcap {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const koffi = require('koffi') as Koffi;
  const library = firstOf(koffi, names);
  const bind = <Result>(from: typeof library, prototype: string): Native<Result> =>
    from.func(prototype) as unknown as Native<Result>;
  return {
    openDead: bind(library, 'uintptr_t pcap_open_dead(int linktype, int snaplen)'),
    compile: bind(
      library,
      'int pcap_compile(uintptr_t pcap, uint8_t *program, const char *expression, int optimize, uint32_t netmask)',
    ),
    error: bind(library, 'const char *pcap_geterr(uintptr_t pcap)'),
    freeCode: bind(library, 'void pcap_freecode(uint8_t *program)'),
    close: bind(library, 'void pcap_close(uintptr_t pcap)'),
    copy: bind(koffi.load('libc.so.6'), 'uintptr_t memcpy(uint8_t *to, uintptr_t from, size_t length)'),
  };
}

function firstOf(koffi: Koffi, names: readonly string[]): ReturnType<Koffi['load']> {
  let cause: unknown;
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch (error) {
      cause ??= error;
    }
  }
  throw new VnetError('LIBPCAP_MISSING', 'filter', `cannot load ${names[0]}, which has the compiler`, {
    hint: 'apt-get install libpcap0.8, or dnf install libpcap',
    cause,
  });
}

/** Loads the library, or throws LIBPCAP_MISSING. */
export function requireLibpcap(): void {
  loaded ??= load(NAMES);
}

/** Compiles a filter; returns its instructions, or libpcap's error message. Throws LIBPCAP_MISSING. */
export function compileFilter(
  expression: string,
  names: readonly string[] = NAMES,
): { instructions: DataView } | { error: string } {
  const pcap = names === NAMES ? (loaded ??= load(names)) : load(names);
  const handle = pcap.openDead(LINKTYPE_ETHERNET, SNAPLEN);
  if (handle === 0) return { error: 'no memory' };
  const program = new Uint8Array(PROGRAM.size);
  try {
    if (pcap.compile(handle, program, expression, 1, NETMASK_UNKNOWN) !== 0) return { error: pcap.error(handle) };
    const view = new DataView(program.buffer);
    const instructions = new Uint8Array(view.getUint32(PROGRAM.count, true) * INSTRUCTION.size);
    pcap.copy(instructions, Number(view.getBigUint64(PROGRAM.address, true)), instructions.length);
    pcap.freeCode(program);
    return { instructions: new DataView(instructions.buffer) };
  } finally {
    pcap.close(handle);
  }
}
