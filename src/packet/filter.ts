// SPDX-License-Identifier: MIT
/** Filters in tcpdump's syntax (pcap-filter(7)): libpcap compiles them, and the resulting program runs on frames. */
import { usageError } from '../errors';
import { compileFilter, INSTRUCTION } from '../native/libpcap';

// The classic BPF machine, which runs what libpcap makes of a filter. As in libpcap (bpf_filter.c), a frame of which
// too little was captured does not match, and a division by zero ends the program.

/** One instruction: struct bpf_insn. */
export interface Instruction {
  code: number;
  /** Instructions to skip if the condition holds (`jt`) and if it does not (`jf`). */
  jt: number;
  jf: number;
  k: number;
}

/** include/uapi/linux/bpf_common.h and filter.h: instructions are sums of these. */
const CLASS = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, ret: 6, misc: 7 } as const;
const SIZE = { w: 0x00, h: 0x08, b: 0x10 } as const;
const MODE = { imm: 0x00, abs: 0x20, ind: 0x40, mem: 0x60, len: 0x80, msh: 0xa0 } as const;
const ALU = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  neg: 0x80,
  mod: 0x90,
  xor: 0xa0,
} as const;
const JMP = { ja: 0x00, jeq: 0x10, jgt: 0x20, jge: 0x30, jset: 0x40 } as const;
/** The operand is X instead of k. */
const X = 0x08;
const RET = { k: 0x00, x: 0x08, a: 0x10 } as const;
const MISC = { tax: 0x00, txa: 0x80 } as const;

/** The most jumps back that a program may make. */
const TURNS_MAX = 10_000;
/** Words of scratch memory. */
const MEMORY_WORDS = 16;
/** The longest IPv4 header in bytes: the most that `ldx 4*([k]&0xf)` can give. */
const MSH_MAX = 60;

const sizeOf = (code: number): number => ((code & 0x18) === SIZE.w ? 4 : (code & 0x18) === SIZE.h ? 2 : 1);

export class PacketFilter {
  private readonly codes: Uint16Array;
  private readonly jumps: Uint8Array;
  private readonly operands: Uint32Array;
  private readonly memory = new Uint32Array(MEMORY_WORDS);
  /** The program looks at no more of a frame than this many bytes; Infinity if that depends on the frame. */
  readonly bytesNeeded: number;

  /** Throws a RangeError for a program that might do anything but end. */
  constructor(
    /** As the user wrote it. */
    readonly expression: string,
    program: readonly Instruction[],
  ) {
    checkProgram(program);
    this.codes = Uint16Array.from(program, ({ code }) => code);
    this.jumps = Uint8Array.from(program.flatMap(({ jt, jf }) => [jt, jf]));
    this.operands = Uint32Array.from(program, ({ k }) => k);
    this.bytesNeeded = bytesNeededBy(program);
  }

  /** Whether the frame in `bytes[start, start + captured)`, which had `length` bytes on the wire, matches. */
  matches(bytes: Uint8Array, start: number, captured: number, length: number): boolean {
    const { codes, jumps, operands, memory } = this;
    let a = 0;
    let x = 0;
    let turns = 0;
    memory.fill(0);
    for (let at = 0; ; at++) {
      const code = codes[at] as number;
      const k = operands[at] as number;
      switch (code & 7) {
        case CLASS.ld: {
          const mode = code & 0xe0;
          if (mode === MODE.abs || mode === MODE.ind) {
            const from = mode === MODE.ind ? k + x : k;
            const size = sizeOf(code);
            if (from + size > captured) return false;
            a = bytes[start + from] as number;
            for (let i = 1; i < size; i++) a = ((a << 8) | (bytes[start + from + i] as number)) >>> 0;
          } else a = mode === MODE.imm ? k : mode === MODE.len ? length : (memory[k] as number);
          break;
        }
        case CLASS.ldx: {
          const mode = code & 0xe0;
          if (mode === MODE.msh) {
            if (k >= captured) return false;
            x = ((bytes[start + k] as number) & 15) * 4;
          } else x = mode === MODE.imm ? k : mode === MODE.len ? length : (memory[k] as number);
          break;
        }
        case CLASS.st:
          memory[k] = a;
          break;
        case CLASS.stx:
          memory[k] = x;
          break;
        case CLASS.alu: {
          const operand = code & X ? x : k;
          const operation = code & 0xf0;
          if (operand === 0 && (operation === ALU.div || operation === ALU.mod)) return false;
          a = compute(operation, a, operand);
          break;
        }
        case CLASS.jmp: {
          if ((code & 0xf0) === JMP.ja) {
            if (k > 0x7fffffff && ++turns > TURNS_MAX) return false;
            at += k | 0;
          } else at += jumps[2 * at + (holds(code & 0xf0, a, code & X ? x : k) ? 0 : 1)] as number;
          break;
        }
        case CLASS.ret:
          return ((code & 0x18) === RET.k ? k : (code & 0x18) === RET.x ? x : a) !== 0;
        default:
          if ((code & 0xf8) === MISC.tax) x = a;
          else a = x;
      }
    }
  }
}

/** The result of an arithmetic instruction, in 32 bits without sign. */
function compute(operation: number, a: number, operand: number): number {
  switch (operation) {
    case ALU.add:
      return (a + operand) >>> 0;
    case ALU.sub:
      return (a - operand) >>> 0;
    case ALU.mul:
      return Math.imul(a, operand) >>> 0;
    case ALU.div:
      return Math.floor(a / operand);
    case ALU.mod:
      return a % operand;
    case ALU.or:
      return (a | operand) >>> 0;
    case ALU.and:
      return (a & operand) >>> 0;
    case ALU.xor:
      return (a ^ operand) >>> 0;
    case ALU.lsh:
      return operand < 32 ? (a << operand) >>> 0 : 0;
    case ALU.rsh:
      return operand < 32 ? a >>> operand : 0;
    default:
      return -a >>> 0;
  }
}

function holds(condition: number, a: number, operand: number): boolean {
  if (condition === JMP.jeq) return a === operand;
  if (condition === JMP.jgt) return a > operand;
  if (condition === JMP.jge) return a >= operand;
  return (a & operand) !== 0;
}

/** The codes of all instructions. */
const KNOWN: ReadonlySet<number> = new Set([
  ...Object.values(SIZE).flatMap((size) => [MODE.abs, MODE.ind].map((mode) => CLASS.ld | size | mode)),
  ...[MODE.imm, MODE.mem, MODE.len].flatMap((mode) => [CLASS.ld | mode, CLASS.ldx | mode]),
  CLASS.ldx | MODE.msh | SIZE.b,
  CLASS.st,
  CLASS.stx,
  ...Object.values(ALU).flatMap((operation) => [CLASS.alu | operation, CLASS.alu | operation | X]),
  CLASS.jmp | JMP.ja,
  ...[JMP.jeq, JMP.jgt, JMP.jge, JMP.jset].flatMap((condition) => [CLASS.jmp | condition, CLASS.jmp | condition | X]),
  ...Object.values(RET).map((value) => CLASS.ret | value),
  CLASS.misc | MISC.tax,
  CLASS.misc | MISC.txa,
]);

const usesMemory = (code: number): boolean =>
  (code & 7) === CLASS.st ||
  (code & 7) === CLASS.stx ||
  (((code & 7) === CLASS.ld || (code & 7) === CLASS.ldx) && (code & 0xe0) === MODE.mem);

/**
 * Throws a RangeError for an invalid program. Jumps go forward, so a program ends if no jump goes beyond its end and
 * the last instruction returns (bpf_validate). Only `protochain` jumps back, from one extension header to the next, as
 * often as a frame can have one.
 */
function checkProgram(program: readonly Instruction[]): void {
  const wrong = program.findIndex(({ code, jt, jf, k }, at) => {
    const left = program.length - 1 - at;
    if (!KNOWN.has(code) || (usesMemory(code) && k >= MEMORY_WORDS)) return true;
    if ((code & 7) !== CLASS.jmp) return left === 0 && (code & 7) !== CLASS.ret;
    if ((code & 0xf0) !== JMP.ja) return Math.max(jt, jf) >= left;
    return (k | 0) >= left || at + 1 + (k | 0) < 0;
  });
  if (program.length === 0 || wrong !== -1)
    throw new RangeError(`instruction ${wrong} of ${program.length} is not one of classic BPF`);
}

/** The number of bytes that loads reach, given the largest value that X can have anywhere in the program. */
function bytesNeededBy(program: readonly Instruction[]): number {
  let xMax = 0;
  for (const { code, k } of program) {
    if (code === (CLASS.misc | MISC.tax)) xMax = Infinity;
    if ((code & 7) === CLASS.ldx)
      xMax = Math.max(xMax, (code & 0xe0) === MODE.msh ? MSH_MAX : (code & 0xe0) === MODE.imm ? k : Infinity);
  }
  let needed = 0;
  for (const { code, k } of program) {
    if ((code & 7) === CLASS.ldx && (code & 0xe0) === MODE.msh) needed = Math.max(needed, k + 1);
    if ((code & 7) !== CLASS.ld) continue;
    if ((code & 0xe0) === MODE.abs) needed = Math.max(needed, k + sizeOf(code));
    if ((code & 0xe0) === MODE.ind) needed = Math.max(needed, k + xMax + sizeOf(code));
  }
  return needed;
}

/** The longest filter in characters. Nobody types longer ones, and libpcap takes a long time for them. */
const LENGTH_MAX = 16384;

/**
 * Compiles a filter with libpcap. Throws USAGE for what libpcap does not understand, and LIBPCAP_MISSING without
 * libpcap.
 */
export function parseFilter(expression: string): PacketFilter {
  const wrong = (why: string): Error =>
    usageError(
      `filter "${expression.slice(0, 100)}"`,
      why,
      'in tcpdump\'s syntax, such as "tcp port 80 and not arp": man pcap-filter',
    );
  if (expression.length > LENGTH_MAX) throw wrong(`has more than ${LENGTH_MAX} characters`);
  if (expression.includes('\0')) throw wrong('has a zero byte');
  const compiled = compileFilter(expression);
  if ('error' in compiled) throw wrong(compiled.error);
  return new PacketFilter(expression, instructionsOf(compiled.instructions));
}

function instructionsOf(view: DataView): Instruction[] {
  return Array.from({ length: view.byteLength / INSTRUCTION.size }, (_, i) => {
    const at = i * INSTRUCTION.size;
    return {
      code: view.getUint16(at + INSTRUCTION.code, true),
      jt: view.getUint8(at + INSTRUCTION.jt),
      jf: view.getUint8(at + INSTRUCTION.jf),
      k: view.getUint32(at + INSTRUCTION.k, true),
    };
  });
}
