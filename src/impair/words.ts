// SPDX-License-Identifier: MIT
/**
 * The words of `vnet-bpf impair`: those of netem (tc-netem(8)) and `queue`. They are checked here, so that each mistake
 * is reported in one line, and no word is mistaken for another. tc reads a time without a unit as microseconds, for
 * instance.
 */
import { didYouMean, usageError, type VnetError } from '../errors';

export interface Profile {
  words: string;
  what: string;
  /**
   * Milliseconds that a ping takes, more or less the jitter: alone, and at most beside a TCP flow that fills the queue.
   */
  ping: { idle: number; loaded: number };
}

/**
 * Named wires. The values are for one direction: a request and its answer pass the wire once each, so a round trip
 * takes twice the delay, and under load twice the queue. They are round figures that are typical of such links, not
 * measurements.
 */
export const PROFILES: Readonly<Record<string, Profile>> = {
  '4g': {
    words: 'delay 25ms 5ms loss 0.1% rate 20mbit queue 100ms',
    what: 'mobile network of the fourth generation, good reception',
    ping: { idle: 50, loaded: 260 },
  },
  '3g': {
    words: 'delay 75ms 15ms loss 0.5% rate 2mbit queue 300ms',
    what: 'mobile network of the third generation',
    ping: { idle: 150, loaded: 780 },
  },
  dsl: {
    words: 'delay 15ms 2ms loss 0.01% rate 16mbit queue 100ms',
    what: 'telephone line of a household',
    ping: { idle: 30, loaded: 240 },
  },
  satellite: {
    words: 'delay 280ms 5ms loss 0.5% rate 20mbit queue 200ms',
    what: 'satellite in a geostationary orbit',
    ping: { idle: 560, loaded: 970 },
  },
  'lossy-wifi': {
    words: 'delay 3ms 4ms loss 3% 25% rate 40mbit queue 50ms',
    what: 'wireless network with a weak signal: losses come in bursts',
    ping: { idle: 6, loaded: 150 },
  },
  modem: {
    words: 'delay 70ms 10ms loss 0.1% rate 56kbit queue 600ms',
    what: 'telephone modem',
    ping: { idle: 140, loaded: 2210 },
  },
};

/** Parameters by name, each with its values in the form that netem uses. */
export type Impairment = ReadonlyMap<Parameter, readonly string[]>;

export type Parameter =
  | 'delay'
  | 'distribution'
  | 'loss'
  | 'ecn'
  | 'duplicate'
  | 'corrupt'
  | 'reorder'
  | 'gap'
  | 'rate'
  | 'queue'
  | 'limit'
  | 'slot'
  | 'seed';

const TIME_HINT = 'a number and ns, us, ms or s: 20ms';
const PERCENT_HINT = 'a number from 0 to 100 and %: 0.5%';
const RATE_HINT = 'bits a second, a number and bit, kbit, mbit or gbit: 10mbit';
const NAMES_HINT =
  'delay TIME [JITTER [CORRELATION]], loss, duplicate, reorder or corrupt PERCENT [CORRELATION], loss gemodel, rate RATE, queue TIME, ' +
  `limit FRAMES, slot, ecn, seed; or ${Object.keys(PROFILES).join(', ')}`;

const MAX_TIME_US = 60e6;
/** The largest jitter in nanoseconds: netem has 31 bits for it, and cuts off the rest. */
const MAX_JITTER_NS = 2 ** 31 - 1;
const MIN_RATE = 8;
const MAX_RATE = 100e9;
const MAX_FRAMES = 1e6;
const MAX_BYTES = 2 ** 31 - 1;

type Check = (parameter: string, text: string) => string;

function wrong(parameter: string, text: string, why: string, hint: string): VnetError {
  return usageError(`${parameter} "${text}"`, why, hint);
}

/** Units of time by each name that tc has for them. */
const TIME_UNITS: Readonly<Record<string, { unit: string; us: number }>> = {
  ns: { unit: 'ns', us: 1e-3 }, nsec: { unit: 'ns', us: 1e-3 }, nsecs: { unit: 'ns', us: 1e-3 },
  us: { unit: 'us', us: 1 }, usec: { unit: 'us', us: 1 }, usecs: { unit: 'us', us: 1 },
  ms: { unit: 'ms', us: 1e3 }, msec: { unit: 'ms', us: 1e3 }, msecs: { unit: 'ms', us: 1e3 },
  s: { unit: 's', us: 1e6 }, sec: { unit: 's', us: 1e6 }, secs: { unit: 's', us: 1e6 },
}; // prettier-ignore
const RATE_UNITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** A number with a unit; `number` is NaN if the text is none. */
function measure(text: string): { number: number; unit: string } {
  const match = /^(\d{1,12}(?:\.\d{0,6})?|\.\d{1,6})([a-z%]*)$/i.exec(text);
  return match ? { number: Number(match[1]), unit: (match[2] as string).toLowerCase() } : { number: NaN, unit: '' };
}

const isIn = (table: object, name: string): boolean => Object.hasOwn(table, name);

const time: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  if (Number.isNaN(number)) throw wrong(parameter, text, 'is not a time', TIME_HINT);
  if (unit === '') throw wrong(parameter, text, 'is a time without a unit', TIME_HINT);
  const known = isIn(TIME_UNITS, unit) ? TIME_UNITS[unit] : undefined;
  if (!known) throw wrong(parameter, text, `is not a time: "${unit}" is not a unit of it`, TIME_HINT);
  if (number * known.us > MAX_TIME_US) throw wrong(parameter, text, 'is longer than 60s', TIME_HINT);
  return `${number}${known.unit}`;
};

/** Nanoseconds of a time that has been checked. */
export function nanosecondsOf(text: string): number {
  const { number, unit } = measure(text);
  return Math.round(number * (TIME_UNITS[unit]?.us ?? NaN) * 1000);
}

const jitter: Check = (parameter, text) => {
  const checked = time(parameter, text);
  if (nanosecondsOf(checked) > MAX_JITTER_NS)
    throw wrong(parameter, text, 'is a jitter of more than 2.147s', 'delay 3s 2s');
  return checked;
};

const percent: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  if (Number.isNaN(number) || (unit !== '' && unit !== '%'))
    throw wrong(parameter, text, 'is not a percentage', PERCENT_HINT);
  if (unit === '') throw wrong(parameter, text, 'is a percentage without %', PERCENT_HINT);
  if (number > 100) throw wrong(parameter, text, 'is more than 100%', PERCENT_HINT);
  return `${number}%`;
};

/** The fraction, from 0 to 1, of a percentage that has been checked. */
export const fractionOf = (text: string): number => measure(text).number / 100;

const rate: Check = (parameter, text) => {
  const { number, unit } = measure(text);
  if (/^[kmgt]?i?bps$/.test(unit))
    throw wrong(parameter, text, 'means bytes a second to tc, and bits a second to others', RATE_HINT);
  const factor = isIn(RATE_UNITS, unit) ? RATE_UNITS[unit] : undefined;
  if (Number.isNaN(number) || factor === undefined) throw wrong(parameter, text, 'is not a rate', RATE_HINT);
  if (number * factor < MIN_RATE || number * factor > MAX_RATE)
    throw wrong(parameter, text, 'is not between 8bit and 100gbit', RATE_HINT);
  return `${number}${unit}`;
};

/** Bits a second of a rate that has been checked. */
export function bitsOf(text: string): number {
  const { number, unit } = measure(text);
  return number * (RATE_UNITS[unit] ?? NaN);
}

const whole =
  (least: number, most: number, hint: string): Check =>
  (parameter, text) => {
    const value = /^-?\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (!(value >= least && value <= most))
      throw wrong(parameter, text, `is not a whole number from ${least} to ${most}`, hint);
    return String(value);
  };
const frames = whole(1, MAX_FRAMES, 'such as 1000');
const bytes = whole(0, MAX_BYTES, 'bytes, such as 1500');
const overhead = whole(-MAX_BYTES, MAX_BYTES, 'bytes that each frame is longer, such as 20');

const DISTRIBUTIONS = ['normal', 'pareto', 'paretonormal'];
const distribution: Check = (parameter, text) => {
  if (!DISTRIBUTIONS.includes(text))
    throw wrong(parameter, text, 'is not a distribution', didYouMean(text, DISTRIBUTIONS, DISTRIBUTIONS.join(', ')));
  return text;
};

const seed: Check = (parameter, text) => {
  const value = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value >= 1n << 64n) throw wrong(parameter, text, 'is not a whole number of 64 bits', 'such as 42');
  return String(value);
};

interface Grammar {
  /** The values in their order; all but the first may be left out. Empty: the parameter takes none. */
  values: readonly Check[];
  /** Other values, by a word in the place of the first value. */
  forms?: Readonly<Record<string, readonly Check[]>>;
  /** Words that may follow the values, each with a value. */
  tail?: Readonly<Record<string, Check>>;
}

const GRAMMAR: Readonly<Record<Parameter, Grammar>> = {
  delay: { values: [time, jitter, percent] },
  distribution: { values: [distribution] },
  loss: {
    values: [percent, percent],
    forms: { gemodel: [percent, percent, percent, percent], state: [percent, percent, percent, percent, percent] },
  },
  ecn: { values: [] },
  duplicate: { values: [percent, percent] },
  corrupt: { values: [percent, percent] },
  reorder: { values: [percent, percent] },
  gap: { values: [frames] },
  rate: { values: [rate, overhead, bytes, overhead] },
  queue: { values: [time] },
  limit: { values: [frames] },
  slot: { values: [time, time], tail: { packets: frames, bytes } },
  seed: { values: [seed] },
};

/** Other names that tc has for parameters. */
const ALIASES: Readonly<Record<string, Parameter>> = { latency: 'delay', drop: 'loss' };

const parameterOf = (word: string | undefined): Parameter | undefined =>
  word === undefined
    ? undefined
    : isIn(ALIASES, word)
      ? ALIASES[word]
      : isIn(GRAMMAR, word)
        ? (word as Parameter)
        : undefined;
const isProfile = (word: string): boolean => isIn(PROFILES, word);

/** Reads the words. Throws USAGE for the first mistake. A profile may come first; the words after it change it. */
export function parseImpairment(words: readonly string[]): Impairment {
  const [first, ...rest] = words;
  if (first === undefined) throw usageError('impair', 'what is to be done to frames?', NAMES_HINT);
  const profile = isProfile(first) ? PROFILES[first] : undefined;
  const changes = readParameters(profile ? rest : words);
  const base = profile ? readParameters(profile.words.split(' ')) : new Map<Parameter, string[]>();
  if (changes.has('limit') && !changes.has('queue')) base.delete('queue');
  const impairment = new Map([...base, ...changes]);
  checkTogether(impairment);
  return impairment;
}

/** Reads words from a list, one at a time. */
class Words {
  private at = 0;

  constructor(private readonly words: readonly string[]) {}

  get next(): string | undefined {
    return this.words[this.at];
  }

  take(): string {
    return this.words[this.at++] as string;
  }

  /** Whether the next word can be a value. */
  get hasValue(): boolean {
    return this.next !== undefined && parameterOf(this.next) === undefined && !isProfile(this.next);
  }
}

function readParameters(list: readonly string[]): Map<Parameter, string[]> {
  const found = new Map<Parameter, string[]>();
  const words = new Words(list);
  while (words.next !== undefined) {
    const name = words.take();
    if (isProfile(name))
      throw usageError(
        `"${name}"`,
        'is a whole wire: it has to be the first word, and the only one of its kind',
        `such as: ${name} loss 2%`,
      );
    if (name === 'gemodel' || name === 'state')
      throw usageError(`"${name}"`, 'is a way to lose frames', `loss ${name} 1% 30%`);
    const parameter = parameterOf(name);
    if (!parameter)
      throw usageError(
        `"${name}"`,
        'is not something that can be done to frames',
        didYouMean(name, [...Object.keys(GRAMMAR), ...Object.keys(PROFILES)], NAMES_HINT),
      );
    if (found.has(parameter)) throw usageError(`"${name}"`, 'is said twice', 'say it once');
    found.set(parameter, readValues(parameter, words));
  }
  return found;
}

function readValues(name: Parameter, words: Words): string[] {
  const { values: checks, forms = {}, tail = {} } = GRAMMAR[name];
  if (name === 'loss' && words.next === 'random') words.take(); // tc's word for the form that has no other
  const form = words.next !== undefined && isIn(forms, words.next) ? words.take() : undefined;
  const values = readInTurn(name, form === undefined ? checks : (forms[form] as readonly Check[]), words, tail);
  if (checks.length > 0 && values.length === 0)
    throw usageError(`"${form === undefined ? name : `${name} ${form}`}"`, 'has no value', NAMES_HINT);
  const options: string[] = [];
  for (const said = new Set<string>(); words.next !== undefined && isIn(tail, words.next);) {
    const word = words.take();
    if (said.has(word)) throw usageError(`"${word}"`, 'is said twice', 'say it once');
    said.add(word);
    if (!words.hasValue) throw usageError(`"${name} ${word}"`, 'has no value', NAMES_HINT);
    options.push(word, (tail[word] as Check)(`${name} ${word}`, words.take()));
  }
  return [...(form === undefined ? [] : [form]), ...values, ...options];
}

function readInTurn(name: string, checks: readonly Check[], words: Words, tail: object): string[] {
  const values: string[] = [];
  while (values.length < checks.length && words.hasValue && !isIn(tail, words.next as string)) {
    values.push((checks[values.length] as Check)(name, words.take()));
  }
  return values;
}

const isZero = (value: string | undefined): boolean => value === undefined || measure(value).number === 0;

/** Throws USAGE for combinations that netem refuses or ignores. */
function checkTogether(impairment: Impairment): void {
  const [delay, jitter] = impairment.get('delay') ?? [];
  const [reorder] = impairment.get('reorder') ?? [];
  const example = 'delay 20ms reorder 25%';
  if (reorder !== undefined && !isZero(reorder) && isZero(delay))
    throw usageError('reorder', 'needs a delay: frames that overtake go at once, the others are late', example);
  if (impairment.has('gap') && reorder === undefined) throw usageError('gap', 'belongs to reorder', `${example} gap 5`);
  if (impairment.has('gap') && isZero(reorder))
    throw usageError('gap', 'needs a reorder of more than 0%', `${example} gap 5`);
  if (impairment.has('distribution') && isZero(jitter))
    throw usageError('distribution', 'is that of a jitter, and there is none', 'delay 20ms 5ms distribution normal');
  if (impairment.has('ecn') && !impairment.has('loss'))
    throw usageError('ecn', 'marks frames that are to be lost, and none are', 'loss 1% ecn');
  if (impairment.has('queue') && !impairment.has('rate'))
    throw usageError('queue', 'is that of frames which wait for a rate, and there is none', 'rate 10mbit queue 100ms');
  if (impairment.has('queue') && impairment.has('limit'))
    throw usageError('limit', 'is said by queue: delay, rate and queue make it', 'leave one of them out');
  if (impairment.has('queue') && (impairment.get('rate') ?? []).length > 1)
    throw usageError('queue', 'does not know of overheads of a rate', 'leave one of them out');
  for (const name of ['loss', 'duplicate', 'corrupt', 'reorder'] as const) {
    const [chance, correlation] = impairment.get(name) ?? [];
    if (chance === undefined || correlation === undefined || !chance.endsWith('%')) continue;
    if (chance !== '0%' && chance !== '100%' && correlation === '100%')
      throw usageError(`${name} ${chance} 100%`, 'does the same to all frames, by chance', `${name} ${chance} 90%`);
  }
}

/**
 * The words of a line or of a command line, checked and in a fixed order. Each text may contain several words, as in
 * quotes. Throws USAGE.
 */
export function checkedWords(words: string | readonly string[]): string[] {
  const list = (typeof words === 'string' ? [words] : words).flatMap((word) => word.split(/\s+/).filter(Boolean));
  return impairmentWords(parseImpairment(list));
}

/** The words of an impairment, in tc's order. */
export function impairmentWords(impairment: Impairment): string[] {
  return (Object.keys(GRAMMAR) as Parameter[]).flatMap((name) => {
    const values = impairment.get(name);
    return values ? [name, ...values] : [];
  });
}
