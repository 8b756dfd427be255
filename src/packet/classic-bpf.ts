// SPDX-License-Identifier: MIT
/** The instructions of classic BPF, into which libpcap compiles filters, and which programs of them are valid. */

/** One instruction: struct bpf_insn. */
export interface Instruction {
  code: number;
  /** Instructions to skip if the condition holds (`jt`) and if it does not (`jf`). */
  jt: number;
  jf: number;
  k: number;
}

/** include/uapi/linux/bpf_common.h and filter.h: instructions are sums of these. */
export const CLASS = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, ret: 6, misc: 7 } as const;
export const SIZE = { w: 0x00, h: 0x08, b: 0x10 } as const;
export const MODE = { imm: 0x00, abs: 0x20, ind: 0x40, mem: 0x60, len: 0x80, msh: 0xa0 } as const;
export const ALU = {
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
export const JMP = { ja: 0x00, jeq: 0x10, jgt: 0x20, jge: 0x30, jset: 0x40 } as const;
/** The operand is X instead of k. */
export const OPERAND_X = 0x08;
export const RET = { k: 0x00, x: 0x08, a: 0x10 } as const;
export const MISC = { tax: 0x00, txa: 0x80 } as const;

/** Words of scratch memory. */
export const MEMORY_WORDS = 16;
/** The longest IPv4 header in bytes: the most that `ldx 4*([k]&0xf)` can give. */
const MSH_MAX = 60;

/** Bytes of the frame that a load takes. */
export const sizeOf = (code: number): number => ((code & 0x18) === SIZE.w ? 4 : (code & 0x18) === SIZE.h ? 2 : 1);

/** The codes of all instructions. */
const KNOWN: ReadonlySet<number> = new Set([
  ...Object.values(SIZE).flatMap((size) => [MODE.abs, MODE.ind].map((mode) => CLASS.ld | size | mode)),
  ...[MODE.imm, MODE.mem, MODE.len].flatMap((mode) => [CLASS.ld | mode, CLASS.ldx | mode]),
  CLASS.ldx | MODE.msh | SIZE.b,
  CLASS.st,
  CLASS.stx,
  ...Object.values(ALU).flatMap((operation) => [CLASS.alu | operation, CLASS.alu | operation | OPERAND_X]),
  CLASS.jmp | JMP.ja,
  ...[JMP.jeq, JMP.jgt, JMP.jge, JMP.jset].flatMap((condition) => [
    CLASS.jmp | condition,
    CLASS.jmp | condition | OPERAND_X,
  ]),
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
export function checkProgram(program: readonly Instruction[]): void {
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

// What a program looks at. The segments of a superpacket differ in length, IPv4's identification and checksum, TCP's
// sequence number, flags and checksum, and in what they carry. They agree in addresses, ports and protocols.

/** What is known about a frame's EtherType at a point of the program. */
type Known = 'nothing' | 'ipv4' | 'ipv6';

/** Bytes in which segments agree: `[from, to)`. */
const AGREE: Readonly<Record<Known, readonly (readonly [number, number])[]>> = {
  nothing: [[0, 14]], // the Ethernet header
  ipv4: [
    [0, 16],
    [20, 24],
    [26, 34],
  ], // up to the type of service; fragment, TTL and protocol; addresses
  ipv6: [
    [0, 18],
    [20, 58],
  ], // without the payload's length; up to the ports, or an extension header
};
/** The ports, at their offset from X, which has the length of the IPv4 header. */
const PORTS: readonly [number, number] = [14, 18];
const ETHER_TYPE_AT = 12;
const IPV4_HEADER_AT = 14;
const KNOWN_TYPES: Readonly<Record<number, Known>> = { 0x0800: 'ipv4', 0x86dd: 'ipv6' };
/**
 * The types of VLAN tags, after which anything may come. Frames of types other than these and IP are no superpackets.
 */
const TAG_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];

/**
 * Whether a superpacket and each of its segments certainly give the same result. Follows all paths through the
 * program.
 */
export function looksAtFlowOnly(program: readonly Instruction[]): boolean {
  const seen = new Set<string>();
  const ways: [at: number, known: Known, hasType: boolean][] = [[0, 'nothing', false]];
  for (let way = ways.pop(); way; way = ways.pop()) {
    const [at, known, hasType] = way;
    const key = way.join();
    if (seen.has(key)) continue;
    seen.add(key);
    const instruction = program[at] as Instruction;
    if (!agrees(instruction, known)) return false;
    const { code, jt, jf, k } = instruction;
    if ((code & 7) === CLASS.ret) continue;
    if ((code & 7) !== CLASS.jmp)
      ways.push([
        at + 1,
        known,
        (code & 7) === CLASS.ld ? isTypeLoad(instruction) : hasType && (code & 7) === CLASS.ldx,
      ]);
    else if ((code & 0xf0) === JMP.ja) ways.push([at + 1 + k, known, hasType]);
    else {
      const isType = hasType && (code & 0xf0) === JMP.jeq;
      if (!isType || k in KNOWN_TYPES || TAG_TYPES.includes(k))
        ways.push([at + 1 + jt, (isType && KNOWN_TYPES[k]) || known, hasType]);
      ways.push([at + 1 + jf, known, hasType]);
    }
  }
  return true;
}

const isTypeLoad = ({ code, k }: Instruction): boolean =>
  (code & 0xe0) === MODE.abs && k === ETHER_TYPE_AT && sizeOf(code) === 2;

/** Whether an instruction cannot tell segments apart. */
function agrees({ code, k }: Instruction, known: Known): boolean {
  const mode = code & 0xe0;
  const within = ([from, to]: readonly [number, number]): boolean => k >= from && k + sizeOf(code) <= to;
  switch (code & 7) {
    case CLASS.ld:
      return mode === MODE.abs
        ? AGREE[known].some(within)
        : mode === MODE.ind
          ? known === 'ipv4' && within(PORTS)
          : mode === MODE.imm;
    case CLASS.ldx:
      return mode === MODE.msh && k === IPV4_HEADER_AT && known === 'ipv4';
    case CLASS.jmp:
      return (code & OPERAND_X) === 0 && ((code & 0xf0) !== JMP.ja || k <= 0x7fffffff);
    case CLASS.alu:
      return (code & OPERAND_X) === 0;
    default:
      return (code & 7) === CLASS.ret;
  }
}

/** The number of bytes that loads reach, given the largest value that X can have anywhere in the program. */
export function bytesNeededBy(program: readonly Instruction[]): number {
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
