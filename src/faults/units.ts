// SPDX-License-Identifier: MIT
/**
 * The values of rules: how each is written in words and in JSON, and which are allowed. In JSON a value is a number in
 * the unit that rules.ts states, so a time is in milliseconds.
 */
import { SEED_MAX } from '../options/values';
import type { QueueLimit } from './rules';

/** What is wrong with a value; its message completes a sentence that begins with the value. */
export class WrongValue extends Error {}

export interface Unit<T> {
  /** The placeholder for a value in help, such as `TIME`; empty if the word alone is enough. */
  form: string;
  /** What a value may be, with an example. */
  hint: string;
  /** Reads a text. Throws WrongValue. */
  read(text: string): T;
  /** The text from which read() makes this value. */
  write(value: T): string;
  /** Checks a value of JSON. Throws WrongValue. */
  check(value: unknown): T;
}

interface NumberUnit {
  form: string;
  hint: string;
  /** In words, to follow "is not". */
  what: string;
  least: number;
  most: number;
  /** The units by their names, each as a multiple of the number's own unit; '' if none is needed. */
  units: Readonly<Record<string, number>>;
  /** Whether only whole numbers are allowed. */
  isWhole?: boolean;
  write(value: number): string;
}

/** Values are rounded to nine decimals, so that what is written is read as the same number. */
const PRECISION = 1e9;
const rounded = (value: number): number => Math.round(value * PRECISION) / PRECISION;

function numberUnit({ form, hint, what, least, most, units, isWhole = false, write }: NumberUnit): Unit<number> {
  const within = (value: number, shown: (limit: number) => string): number => {
    if (value < least) throw new WrongValue(`is less than ${shown(least)}`);
    if (value > most) throw new WrongValue(`is more than ${shown(most)}`);
    if (isWhole && !Number.isInteger(value)) throw new WrongValue('is not a whole number');
    return value;
  };
  return {
    form,
    hint,
    write,
    read(text) {
      const [, digits, unit = ''] = /^(\d{1,16}(?:\.\d{1,9})?|\.\d{1,9})([a-z%]*)$/i.exec(text) ?? [];
      if (digits === undefined) throw new WrongValue(`is not ${what}`);
      const name = Object.hasOwn(units, unit) ? unit : unit.toLowerCase();
      if (!Object.hasOwn(units, name))
        throw new WrongValue(
          unit === '' ? `is ${what} without a unit` : `is not ${what}: "${unit}" is not a unit of it`,
        );
      // Division by smaller units is exact: 700us is 0.7, not a little more.
      const factor = units[name] as number;
      return within(rounded(factor < 1 ? Number(digits) / Math.round(1 / factor) : Number(digits) * factor), write);
    },
    check(value) {
      if (typeof value !== 'number' || !Number.isFinite(value)) throw new WrongValue('is not a number');
      return within(value, String);
    },
  };
}

const SECOND = 1000;
const HOUR = 3600 * SECOND;

/** Milliseconds. */
export const TIME = numberUnit({
  form: 'TIME',
  hint: 'a number and us, ms or s: 40ms',
  what: 'a time',
  least: 0,
  most: HOUR,
  units: { us: 1e-3, ms: 1, s: SECOND },
  write: (value) => (value >= SECOND && value % SECOND === 0 ? `${value / SECOND}s` : `${value}ms`),
});

const percent = (value: number): string => `${parseFloat((value * 100).toPrecision(12))}%`;
const CHANCE_OF_ANY = { what: 'a percentage', most: 1, units: { '%': 0.01 }, write: percent } as const;

/** A chance from 0 to 1. */
export const SHARE = numberUnit({
  form: 'PERCENT',
  hint: 'a number from 0 to 100 and %: 0.5%',
  least: 0,
  ...CHANCE_OF_ANY,
});
/** A chance above 0. */
export const CHANCE = numberUnit({
  form: 'PERCENT',
  hint: 'a number up to 100 and %: 0.5%',
  least: 1e-9,
  ...CHANCE_OF_ANY,
});

const COUNT_MAX = 1e9;
const plain = { units: { '': 1 }, isWhole: true, write: String } as const;

export const COUNT = numberUnit({
  form: 'N',
  hint: 'a number, such as 2',
  what: 'a number',
  least: 1,
  most: COUNT_MAX,
  ...plain,
});
/** More copies of a frame than this would fill the memory, or take the thread too long. */
const COPIES_MAX = 1000;
/** Copies of one frame. */
export const COPIES = numberUnit({
  form: 'N',
  hint: `a number from 1 to ${COPIES_MAX}`,
  what: 'a number',
  least: 1,
  most: COPIES_MAX,
  ...plain,
});
/** An index of a byte or bit. */
export const INDEX = numberUnit({
  form: 'N',
  hint: 'a number from 0 on, such as 100000',
  what: 'a number',
  least: 0,
  most: Number.MAX_SAFE_INTEGER,
  ...plain,
});
export const SEED = numberUnit({
  form: 'N',
  hint: 'a number from 0 on, such as 7',
  what: 'a number',
  least: 0,
  most: SEED_MAX,
  ...plain,
});

const KIB = 1 << 10;
const BYTES_MAX = 1 << 30;

/** Bytes. */
export const sizeUnit = (least: number, most = BYTES_MAX): Unit<number> =>
  numberUnit({
    form: 'SIZE',
    hint: `bytes, from ${least} on, such as 64K`,
    what: 'a size',
    least,
    most,
    units: { '': 1, K: KIB, k: KIB, M: KIB * KIB, m: KIB * KIB },
    isWhole: true,
    write: (value) =>
      value >= KIB * KIB && value % (KIB * KIB) === 0
        ? `${value / (KIB * KIB)}M`
        : value >= KIB && value % KIB === 0
          ? `${value / KIB}K`
          : String(value),
  });

const BIT_UNITS = [
  ['gbit', 1e9],
  ['mbit', 1e6],
  ['kbit', 1e3],
] as const;

/** Bits per second. */
export const RATE = numberUnit({
  form: 'RATE',
  hint: 'bits per second, a number and bit, kbit, mbit or gbit: 10mbit',
  what: 'a rate',
  least: 8,
  most: 1e11,
  units: { bit: 1, ...Object.fromEntries(BIT_UNITS) },
  write: (value) => {
    const [name, factor] = BIT_UNITS.find(([, each]) => value >= each && value % each === 0) ?? ['bit', 1];
    return `${value / factor}${name}`;
  },
});

/** The most numbers in a list. */
const LIST_MAX = 10_000;

/** One number or several, in order. */
export const COUNTS: Unit<readonly number[]> = {
  form: 'N[,N...]',
  hint: 'a number, or several with commas: 2 or 2,5',
  read: (text) => COUNTS.check(text.split(',').map((each) => COUNT.read(each))),
  write: (value) => value.join(','),
  check(value) {
    if (!Array.isArray(value) || value.length === 0) throw new WrongValue('is not a list of numbers');
    if (value.length > LIST_MAX) throw new WrongValue(`has more than ${LIST_MAX} numbers`);
    return [...new Set(value.map((each) => COUNT.check(each)))].sort((a, b) => a - b);
  },
};

/** From one time to a later one. */
export const SPAN: Unit<readonly [number, number]> = {
  form: 'TIME-TIME',
  hint: 'two times: 2s-4s',
  read(text) {
    const [from, to, ...rest] = text.split('-');
    if (from === undefined || to === undefined || rest.length > 0)
      throw new WrongValue('is not a time from one to another');
    return SPAN.check([TIME.read(from), TIME.read(to)]);
  },
  write: ([from, to]) => `${TIME.write(from)}-${TIME.write(to)}`,
  check(value) {
    if (!Array.isArray(value) || value.length !== 2) throw new WrongValue('is not a list of two times');
    const [from, to] = value.map((each) => TIME.check(each)) as [number, number];
    if (to <= from) throw new WrongValue('ends before it begins');
    return [from, to];
  },
};

const SIZE = sizeUnit(1);

const CODEL = 'codel';

/** Milliseconds, bytes, or CoDel. */
export const QUEUE: Unit<QueueLimit> = {
  form: `TIME|SIZE|${CODEL}`,
  hint: `a time, bytes, or ${CODEL}: 100ms or 64K`,
  read(text) {
    if (text === CODEL) return { codel: true };
    return /s$/i.test(text) ? { ms: TIME.read(text) } : { bytes: SIZE.read(text) };
  },
  write: (value) => ('ms' in value ? TIME.write(value.ms) : 'bytes' in value ? SIZE.write(value.bytes) : CODEL),
  check(value) {
    const fields = fieldsOf(value);
    const [name, ...more] = Object.keys(fields);
    if (more.length === 0 && name === 'ms') return { ms: TIME.check(fields[name]) };
    if (more.length === 0 && name === 'bytes') return { bytes: SIZE.check(fields[name]) };
    if (more.length === 0 && name === CODEL && fields[name] === true) return { codel: true };
    throw new WrongValue(`is none of { "ms": N }, { "bytes": N } and { "${CODEL}": true }`);
  },
};

/** The fields of an object; none of anything else. */
export const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

/** One of a few words. */
export function choice<const T extends string>(...choices: readonly T[]): Unit<T> {
  const read = (text: unknown): T => {
    const found = choices.find((each) => each === text);
    if (found === undefined) throw new WrongValue(`is not one of ${choices.join(', ')}`);
    return found;
  };
  return { form: choices.join('|'), hint: `one of ${choices.join(', ')}`, read, write: (value) => value, check: read };
}

/** A word that is there or not. */
export const FLAG: Unit<boolean> = {
  form: '',
  hint: 'true or false',
  read: () => true,
  write: () => '',
  check(value) {
    if (typeof value !== 'boolean') throw new WrongValue('is not true or false');
    return value;
  },
};
