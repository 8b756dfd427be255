// SPDX-License-Identifier: MIT
/** Filters in tcpdump's syntax (pcap-filter(7)): libpcap compiles them, and the resulting program runs on frames. */
import { usageError, VnetError } from '../errors';
import { compileFilter, INSTRUCTION } from '../native/libpcap';
import {
  ALU,
  bytesNeededBy,
  checkProgram,
  CLASS,
  type Instruction,
  JMP,
  looksAtFlowOnly,
  MEMORY_WORDS,
  MISC,
  MODE,
  OPERAND_X,
  RET,
  sizeOf,
} from './classic-bpf';
import { type FilterFunction, filterFunction } from './filter-code';

export type { Instruction };

// The interpreter. As in libpcap (bpf_filter.c), a frame of which too little was captured does not match, and a
// division by zero ends the program.

/** The most jumps back that a program may make. */
const TURNS_MAX = 10_000;

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
    private readonly program: readonly Instruction[],
  ) {
    checkProgram(program);
    this.codes = Uint16Array.from(program, ({ code }) => code);
    this.jumps = Uint8Array.from(program.flatMap(({ jt, jf }) => [jt, jf]));
    this.operands = Uint32Array.from(program, ({ k }) => k);
    this.bytesNeeded = bytesNeededBy(program);
  }

  /** Whether a superpacket and each of its segments certainly give the same result. */
  get looksAtFlowOnly(): boolean {
    return looksAtFlowOnly(this.program);
  }

  /** matches() as a compiled function: faster, but compiling takes a moment. */
  compiled(): FilterFunction {
    return (
      filterFunction(this.program) ?? ((bytes, start, captured, length) => this.matches(bytes, start, captured, length))
    );
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
          const operand = code & OPERAND_X ? x : k;
          const operation = code & 0xf0;
          if (operand === 0 && (operation === ALU.div || operation === ALU.mod)) return false;
          a = compute(operation, a, operand);
          break;
        }
        case CLASS.jmp: {
          if ((code & 0xf0) === JMP.ja) {
            if (k > 0x7fffffff && ++turns > TURNS_MAX) return false;
            at += k | 0;
          } else at += jumps[2 * at + (holds(code & 0xf0, a, code & OPERAND_X ? x : k) ? 0 : 1)] as number;
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
  if ('error' in compiled) throw wrong(compiled.error + placeOfError(expression, compiled.error));
  return new PacketFilter(expression, instructionsOf(compiled.instructions));
}

/** What libpcap says of a filter that cannot match. */
const REJECTS_ALL = 'rejects all packets';

/** Whether libpcap can tell that no frame matches a filter. Throws as parseFilter() does. */
export function rejectsAll(expression: string): boolean {
  try {
    parseFilter(expression);
    return false;
  } catch (error) {
    if (error instanceof VnetError && error.message.includes(REJECTS_ALL)) return true;
    throw error;
  }
}

/** The longest filter, in words, in which the place of an error is looked for. */
const WORDS_MAX = 64;
const SYNTAX_ERROR = 'syntax error';

/** Where a syntax error is, which libpcap does not tell: after the longest correct beginning of the filter. */
function placeOfError(expression: string, error: string): string {
  const words = expression.trim().split(/\s+/);
  if (!error.includes(SYNTAX_ERROR) || words.length > WORDS_MAX) return '';
  for (let count = words.length - 1; count > 0; count--) {
    const compiled = compileFilter(words.slice(0, count).join(' '));
    if (!('error' in compiled) || !compiled.error.includes(SYNTAX_ERROR))
      return `, after "${words.slice(Math.max(0, count - 3), count).join(' ')}": ${words.slice(count, count + 2).join(' ')}`;
  }
  return ', in its first word';
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
