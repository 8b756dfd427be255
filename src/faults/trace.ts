// SPDX-License-Identifier: MIT
/**
 * Traces of links as mahimahi has them: a line for each packet that the link could have delivered, with the time of that
 * opportunity in milliseconds. Some lines may be the same. At its end, a trace begins anew.
 *
 * Long traces have half a million lines, so rules keep them in a short form: for each opportunity the milliseconds since
 * the one before, as a digit from 0 to z, or in parentheses if there are more than 35.
 *
 *   0 0 2 40 41      00 2 (38) 1
 */
import type { Trace } from './rules';
import { fieldsOf, type Unit, WrongValue } from './units';

/** The most opportunities of a trace: mahimahi's longest has 490,000. */
const OPPORTUNITIES_MAX = 600_000;
/** The latest time in milliseconds: one day. */
const TIME_MAX = 86_400_000;
/** The longest short form in characters: with the rest of the rules, it must fit into one order (src/control/socket.ts). */
const PACKED_MAX = 700_000;
const DIGITS = 36;

/** Bytes of the longest file that is read. */
export const TRACE_BYTES_MAX = 8 << 20;

/** The short form of the trace in a file. Throws WrongValue. */
export function packedTrace(text: string): string {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > OPPORTUNITIES_MAX) throw new WrongValue(`has more than ${OPPORTUNITIES_MAX} lines`);
  return packed(
    lines.map((line, i) => {
      if (!/^\d{1,9}\r?$/.test(line))
        throw new WrongValue(`has no number of milliseconds in line ${i + 1}: ${JSON.stringify(line.slice(0, 20))}`);
      return Number(line);
    }),
    (i) => `line ${i + 1}`,
  );
}

/** The short form of times in milliseconds. Throws WrongValue. */
export function packed(times: readonly number[], place = (i: number): string => `number ${i + 1}`): string {
  const last = times.at(-1);
  if (last === undefined) throw new WrongValue('has no times');
  if (times.length > OPPORTUNITIES_MAX) throw new WrongValue(`has more than ${OPPORTUNITIES_MAX} times`);
  let before = 0;
  const text = times.map((time, i) => {
    if (!Number.isInteger(time) || time < 0 || time > TIME_MAX)
      throw new WrongValue(`has no number of milliseconds up to a day in ${place(i)}`);
    if (time < before) throw new WrongValue(`goes back in time in ${place(i)}: from ${before} to ${time}`);
    const since = time - before;
    before = time;
    return since < DIGITS ? since.toString(DIGITS) : `(${since})`;
  });
  if (last === 0) throw new WrongValue('ends at 0 ms, and a trace must last for a time');
  return checkedTrace(text.join(''));
}

/** Checks a short form. Throws WrongValue. */
export function checkedTrace(text: string): string {
  if (text.length > PACKED_MAX) throw new WrongValue(`is too long, by ${text.length - PACKED_MAX} opportunities`);
  if (!/^(?:[0-9a-z]|\(\d{2,8}\))+$/.test(text)) throw new WrongValue('is not the short form of a trace');
  const times = unpacked(text);
  const last = times.at(-1) as number;
  if (last === 0) throw new WrongValue('ends at 0 ms, and a trace must last for a time');
  if (last > TIME_MAX || times.length > OPPORTUNITIES_MAX)
    throw new WrongValue('is longer than a day, or has too many times');
  return text;
}

/** The times of a short form. */
export function unpacked(text: string): Float64Array {
  const times = new Float64Array(text.length);
  let count = 0;
  let time = 0;
  for (const [, digit, number] of text.matchAll(/([0-9a-z])|\((\d+)\)/g)) {
    time += digit === undefined ? Number(number) : parseInt(digit, DIGITS);
    times[count++] = time;
  }
  return times.slice(0, count);
}

/** The longest name of a file. */
const PATH_MAX = 4096;

/**
 * A trace: the name of its file, or its times with commas. In JSON, the name, the times as numbers, or both name and
 * short form.
 */
export const TRACE: Unit<Trace> = {
  form: 'FILE',
  hint: 'a trace of mahimahi: a file with a time in milliseconds in each line',
  read: (text) =>
    /^\d+(?:,\d+)*$/.test(text)
      ? { file: null, opportunities: packed(text.split(',').map(Number)) }
      : { file: text, opportunities: null },
  write: ({ file, opportunities }) => file ?? [...unpacked(opportunities ?? '')].join(','),
  check(value) {
    if (typeof value === 'string') return { file: fileName(value), opportunities: null };
    if (Array.isArray(value)) return { file: null, opportunities: packed(value as number[]) };
    const { file = null, opportunities = null, ...rest } = fieldsOf(value);
    if (Object.keys(rest).length > 0 || (file === null && opportunities === null))
      throw new WrongValue('is neither the name of a file, nor a list of times, nor { "file", "opportunities" }');
    if (opportunities !== null && typeof opportunities !== 'string')
      throw new WrongValue('has opportunities that are not a text');
    return {
      file: file === null ? null : fileName(file),
      opportunities: opportunities === null ? null : checkedTrace(opportunities),
    };
  },
};

function fileName(value: unknown): string {
  if (typeof value !== 'string' || value === '' || value.length > PATH_MAX || value.includes('\0'))
    throw new WrongValue('is not the name of a file');
  return value;
}

/** The opportunities of a trace that repeats, numbered from 0. Times are in milliseconds since its beginning. */
export class Opportunities {
  private readonly last: number;

  constructor(private readonly times: Float64Array) {
    this.last = times.at(-1) as number;
  }

  timeOf(number: number): number {
    const { times, last } = this;
    return Math.floor(number / times.length) * last + (times[number % times.length] as number);
  }

  /** The first that comes later than `time`. */
  firstAfter(time: number): number {
    const { times, last } = this;
    const round = Math.floor(Math.max(0, time) / last);
    const within = Math.max(0, time) - round * last;
    let low = 0;
    let high = times.length - 1; // the last one always comes later
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((times[middle] as number) > within) high = middle;
      else low = middle + 1;
    }
    return round * times.length + low;
  }
}
