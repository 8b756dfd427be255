// SPDX-License-Identifier: MIT
/**
 * The words of `vnet-bpf impair`, those of netem (tc-netem(8)): checked here, so that each mistake is told in a line,
 * and nothing is run that tc or the kernel would take for something else. tc reads a time without a unit as
 * microseconds, for instance.
 */
import { usageError, type VnetError } from '../errors';
import { didYouMean } from '../suggest';
import { PROFILES } from './profiles';

/** Parameters by name, each with its values as netem takes them. */
export type Impairment = ReadonlyMap<Parameter, readonly string[]>;

type Parameter = 'delay' | 'loss' | 'duplicate' | 'reorder' | 'corrupt' | 'rate' | 'limit' | 'distribution' | 'gap';

const TIME_HINT = 'a number and us, ms or s: 20ms';
const PERCENT_HINT = 'a number from 0 to 100 and %: 0.5%';
const RATE_HINT = 'bits a second, a number and bit, kbit, mbit or gbit: 10mbit';
const NAMES_HINT = `delay TIME [JITTER [CORRELATION]], loss, duplicate, reorder or corrupt PERCENT [CORRELATION], rate RATE, limit FRAMES; or ${Object.keys(PROFILES).join(', ')}`;

const MAX_TIME_US = 60e6;
const MIN_RATE = 8;
const MAX_RATE = 100e9;
const MAX_FRAMES = 1e6;

type Check = (parameter: Parameter, text: string) => string;

function wrong(parameter: Parameter, text: string, why: string, hint: string): VnetError {
  return usageError(`${parameter} "${text}"`, why, hint);
}

/** A number with a unit; NaN as `number` where it is none. */
function measure(text: string): { number: number; unit: string } {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)([a-z%]*)$/i.exec(text);
  return match ? { number: Number(match[1]), unit: (match[2] as string).toLowerCase() } : { number: NaN, unit: '' };
}

const time: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  if (Number.isNaN(number)) throw wrong(parameter, text, 'is not a time', TIME_HINT);
  if (unit === '') throw wrong(parameter, text, 'is a time without a unit', TIME_HINT);
  const factor = { us: 1, ms: 1e3, s: 1e6 }[unit];
  if (factor === undefined) throw wrong(parameter, text, `is not a time: "${unit}" is not a unit of it`, TIME_HINT);
  if (number * factor > MAX_TIME_US) throw wrong(parameter, text, 'is longer than 60s', TIME_HINT);
  return `${number}${unit}`;
};

const percent: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  if (Number.isNaN(number) || (unit !== '' && unit !== '%')) throw wrong(parameter, text, 'is not a percentage', PERCENT_HINT);
  if (unit === '') throw wrong(parameter, text, 'is a percentage without %', PERCENT_HINT);
  if (number > 100) throw wrong(parameter, text, 'is more than 100%', PERCENT_HINT);
  return `${number}%`;
};

const rate: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  const factor = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 }[unit];
  if (Number.isNaN(number) || factor === undefined) throw wrong(parameter, text, 'is not a rate', RATE_HINT);
  if (number * factor < MIN_RATE || number * factor > MAX_RATE) throw wrong(parameter, text, 'is not between 8bit and 100gbit', RATE_HINT);
  return `${number}${unit}`;
};

const frames: Check = (parameter, text) => {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= 1 && value <= MAX_FRAMES)) throw wrong(parameter, text, `is not a whole number from 1 to ${MAX_FRAMES}`, 'such as 1000');
  return String(value);
};

const DISTRIBUTIONS = ['normal', 'pareto', 'paretonormal'];
const distribution: Check = (parameter, text) => {
  if (!DISTRIBUTIONS.includes(text)) throw wrong(parameter, text, 'is not a distribution', didYouMean(text, DISTRIBUTIONS, DISTRIBUTIONS.join(', ')));
  return text;
};

/** The values of each parameter, in their order; all but the first may be left out. */
const GRAMMAR: Readonly<Record<Parameter, readonly Check[]>> = {
  delay: [time, time, percent],
  distribution: [distribution],
  loss: [percent, percent],
  duplicate: [percent, percent],
  corrupt: [percent, percent],
  reorder: [percent, percent],
  gap: [frames],
  rate: [rate],
  limit: [frames],
};

const isParameter = (word: string | undefined): word is Parameter => word !== undefined && Object.hasOwn(GRAMMAR, word);
const isProfile = (word: string): boolean => Object.hasOwn(PROFILES, word);

/** Reads the words; throws a USAGE error for the first mistake. A profile may come first, what follows changes it. */
export function parseImpairment(words: readonly string[]): Impairment {
  const [first, ...rest] = words;
  if (first === undefined) throw usageError('impair', 'what is to be done to frames?', NAMES_HINT);
  const profile = isProfile(first) ? PROFILES[first] : undefined;
  const base = profile ? readParameters(profile.words.split(' ')) : new Map<Parameter, string[]>();
  const impairment = new Map([...base, ...readParameters(profile ? rest : words)]);
  checkTogether(impairment);
  return impairment;
}

function readParameters(words: readonly string[]): Map<Parameter, string[]> {
  const found = new Map<Parameter, string[]>();
  for (let i = 0; i < words.length; ) {
    const name = words[i++] as string;
    if (isProfile(name)) throw usageError(`"${name}"`, 'is a whole wire: it has to be the first word, and the only one of its kind', `such as: ${name} loss 2%`);
    if (!isParameter(name)) throw usageError(`"${name}"`, 'is not something that can be done to frames', didYouMean(name, [...Object.keys(GRAMMAR), ...Object.keys(PROFILES)], NAMES_HINT));
    if (found.has(name)) throw usageError(`"${name}"`, 'is said twice', 'say it once');
    const checks = GRAMMAR[name];
    const values: string[] = [];
    while (values.length < checks.length && i < words.length && !isParameter(words[i]) && !isProfile(words[i] as string)) {
      values.push((checks[values.length] as Check)(name, words[i++] as string));
    }
    if (values.length === 0) throw usageError(`"${name}"`, 'has no value', NAMES_HINT);
    found.set(name, values);
  }
  return found;
}

/** What netem refuses, or does nothing about, together. */
function checkTogether(impairment: Impairment): void {
  const [, jitter] = impairment.get('delay') ?? [];
  if (impairment.has('reorder') && !impairment.has('delay')) throw usageError('reorder', 'needs a delay: frames that overtake go at once, the others are late', 'delay 20ms reorder 25%');
  if (impairment.has('gap') && !impairment.has('reorder')) throw usageError('gap', 'belongs to reorder', 'delay 20ms reorder 25% gap 5');
  if (impairment.has('distribution') && jitter === undefined) throw usageError('distribution', 'is that of a jitter, and there is none', 'delay 20ms 5ms distribution normal');
}

/** The words of a line or of a command line, checked, as netem takes them. Throws a USAGE error. */
export function checkedWords(words: string | readonly string[]): string[] {
  return impairmentWords(parseImpairment(typeof words === 'string' ? words.split(' ').filter(Boolean) : words));
}

/** In the order in which tc wants them. */
export function impairmentWords(impairment: Impairment): string[] {
  return (Object.keys(GRAMMAR) as Parameter[]).flatMap((name) => {
    const values = impairment.get(name);
    return values ? [name, ...values] : [];
  });
}
