// SPDX-License-Identifier: MIT
/** Random C types with random values, and whether what bpftool prints of a value is that value. */

/** Numbers that repeat with their seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** An integer of some bits; every other one is close to a limit. */
  integer(bits: number, signed: boolean): bigint {
    let value = 0n;
    for (let i = 0; i < bits; i += 16) value = (value << 16n) | BigInt(this.below(65536));
    if (this.below(2) === 0) value = this.pick([0n, 1n, -1n, 1n << BigInt(bits - 1), (1n << BigInt(bits - 1)) - 1n]);
    return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  }
}

/** JSON of bpftool in which numbers are texts, because they may have 64 bits. */
export type Printed = string | boolean | Printed[] | { [name: string]: Printed };

export interface RandomType {
  /** Its declaration of a name. */
  declare(name: string): string;
  /** A value that encode() takes. */
  value(): unknown;
  /** Whether bpftool has printed the value. */
  agrees(value: unknown, printed: Printed): boolean;
}

interface IntegerType extends RandomType {
  readonly text: string;
  readonly bits: number;
  readonly signed: boolean;
}

function integer(random: Random, text: string, bits: number, signed: boolean): IntegerType {
  return {
    text,
    bits,
    signed,
    declare: (name) => `${text} ${name}`,
    value: () => {
      const value = random.integer(bits, signed);
      return bits > 32 ? value : Number(value);
    },
    // Bit fields are printed in hexadecimal, without a sign.
    agrees: (value, printed) => typeof printed === 'string' && sameInteger(BigInt(value as number), printed, bits),
  };
}

function sameInteger(value: bigint, printed: string, bits: number): boolean {
  return /^-?(0x[\da-f]+|\d+)$/.test(printed) && BigInt.asUintN(bits, BigInt(printed)) === BigInt.asUintN(bits, value);
}

const SIZES = [8, 16, 32, 64];

/** Makes types; those with names are declared in {@link text}. */
export class RandomTypes {
  readonly text: string[] = ['enum color { RED, GREEN = 5, BLUE = 7 };', 'enum size { TINY, LARGE = 0xfffffff0 };'];
  readonly random: Random;
  #names = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** A struct with a name: `struct NAME`. */
  struct(depth = 0): RandomType & { readonly name: string } {
    const name = `s${this.#names++}`;
    const members = this.#members(depth);
    const packed = this.random.below(4) === 0 ? ' __attribute__((packed))' : '';
    this.text.push(`struct${packed} ${name} {\n${members.body}};`);
    return { ...members, name, declare: (of) => `struct ${name} ${of}` };
  }

  #any(depth: number): RandomType {
    const { random } = this;
    const kinds = [
      () => this.#integer(),
      () => this.#integer(),
      () => this.#bool(),
      () => this.#enum(),
      () => integer(random, 'void *', 64, false),
      () => this.#text(),
      () => this.#array(this.#any(depth + 1), 1 + random.below(3)),
      () => this.struct(depth + 1),
      () => this.#union(depth + 1),
    ];
    return random.pick(depth > 2 ? kinds.slice(0, 6) : kinds)();
  }

  #integer(): IntegerType {
    const [bits, signed] = [this.random.pick(SIZES), this.random.below(2) === 0];
    return integer(this.random, `__${signed ? 's' : 'u'}${bits}`, bits, signed);
  }

  #bool(): RandomType {
    return {
      declare: (name) => `_Bool ${name}`,
      value: () => this.random.below(2) === 0,
      agrees: (value, printed) => value === printed,
    };
  }

  #enum(): RandomType {
    // No negative ones: before clang 15 BTF does not say that an enum is signed.
    const [text, values]: [string, Record<string, number>] =
      this.random.below(2) === 0
        ? ['enum color', { RED: 0, GREEN: 5, BLUE: 7 }]
        : ['enum size', { TINY: 0, LARGE: 0xfffffff0 }];
    const plain = integer(this.random, text, 32, false);
    return {
      ...plain,
      value: () => (this.random.below(2) === 0 ? this.random.pick(Object.values(values)) : plain.value()),
      agrees: (value, printed) =>
        typeof printed === 'string' && printed in values ? values[printed] === value : plain.agrees(value, printed),
    };
  }

  /** An array of characters or bytes. */
  #text(): RandomType {
    const length = 1 + this.random.below(12);
    const text = this.random.pick(['char', '__u8', 'signed char']);
    return {
      declare: (name) => `${text} ${name}[${length}]`,
      value: () => Uint8Array.from({ length }, () => this.random.pick([0, 65, 122, 200, 255])),
      agrees: (value, printed) => {
        const bytes = value as Uint8Array;
        // Texts are printed up to their end.
        if (typeof printed === 'string') return Buffer.from(bytes).toString('latin1').split('\0')[0] === printed;
        return Array.isArray(printed) && printed.every((each, i) => sameByte(bytes[i]!, each));
      },
    };
  }

  #array(element: RandomType, length: number): RandomType {
    return {
      declare: (name) => element.declare(`${name}[${length}]`),
      value: () => Array.from({ length }, () => element.value()),
      agrees: (value, printed) => {
        // An array of bytes that is an element of another is bytes, too.
        const values = value as ArrayLike<unknown>;
        return Array.isArray(printed) && printed.every((each, i) => element.agrees(values[i], each));
      },
    };
  }

  #union(depth: number): RandomType {
    const name = `u${this.#names++}`;
    const union = this.#alternatives(depth);
    this.text.push(`union ${name} {\n${union.body}};`);
    return { ...union, declare: (of) => `union ${name} ${of}` };
  }

  /** Members of a union; a value has one of them. */
  #alternatives(depth: number): RandomType & { readonly body: string } {
    const count = 2 + this.random.below(2);
    const members = Array.from({ length: count }, () => ({ name: `m${this.#names++}`, type: this.#any(depth) }));
    return {
      body: members.map((each) => `\t${each.type.declare(each.name)};\n`).join(''),
      declare: () => '',
      value: () => {
        const chosen = this.random.pick(members);
        return { [chosen.name]: chosen.type.value() };
      },
      agrees: (value, printed) => members.every((each) => memberAgrees(each.name, each.type, value, printed)),
    };
  }

  /** Members of a struct: bit fields, an unnamed struct or union, and others. */
  #members(depth: number): RandomType & { readonly body: string } {
    const { random } = this;
    const lines: string[] = [];
    const members: { name: string; type: RandomType; inner: boolean }[] = [];
    const add = (name: string, type: RandomType, line: string, inner = false): void => {
      lines.push(`\t${line};\n`);
      members.push({ name, type, inner });
    };
    const count = 1 + random.below(7);
    for (let i = 0; i < count; i++) {
      const name = `f${this.#names++}`;
      const kind = random.below(8);
      if (kind < 2) {
        const { text, bits, signed } = this.#integer();
        const width = 1 + random.below(bits);
        const field = integer(random, text, width, signed);
        // A field in a type of 64 bits is a bigint, however narrow.
        const value = (): unknown => (bits > 32 ? BigInt(field.value() as number) : field.value());
        add(name, { ...field, value }, `${text} ${name} : ${width}`);
        if (random.below(6) === 0) lines.push(`\t${text} : ${1 + random.below(bits)};\n`);
      } else if (kind === 2 && depth < 2 && !members.some(({ inner }) => inner)) {
        const union = random.below(2) === 0;
        const inner = union ? this.#alternatives(depth + 1) : this.#members(depth + 1);
        add(name, inner, `${union ? 'union' : 'struct'} {\n${inner.body}\t}`, true);
      } else {
        const type = this.#any(depth);
        add(name, type, type.declare(name));
      }
    }
    return {
      body: lines.join(''),
      declare: () => '',
      value: () =>
        Object.fromEntries(
          members.flatMap(({ name, type, inner }) =>
            inner ? Object.entries(type.value() as object) : [[name, type.value()] as [string, unknown]],
          ),
        ),
      agrees: (value, printed) =>
        typeof printed === 'object' &&
        members.every(({ name, type, inner }) =>
          inner ? type.agrees(value, unnamedOf(printed)) : memberAgrees(name, type, value, printed),
        ),
    };
  }
}

const sameByte = (byte: number, printed: Printed): boolean =>
  typeof printed === 'string' && (sameInteger(BigInt(byte), printed, 8) || printed === String.fromCharCode(byte));

/** What bpftool prints for the unnamed member of a struct. */
function unnamedOf(printed: Printed): Printed {
  const named = printed as { [name: string]: Printed };
  return named['(anon)'] ?? named[''] ?? printed;
}

/** A member that the value leaves out is not compared. */
function memberAgrees(name: string, type: RandomType, value: unknown, printed: Printed): boolean {
  const given = (value as Record<string, unknown>)[name];
  const shown = (printed as { [name: string]: Printed })[name];
  return given === undefined || (shown !== undefined && type.agrees(given, shown));
}
