// SPDX-License-Identifier: MIT
/**
 * The words of rules, one row each. The parser (language.ts), the JSON form (document.ts) and help are derived from
 * these tables; docs/faults.md has the same rows.
 */
import { CODEL } from './codel';
import type { EffectKind, EffectOf, LineQueue, Match } from './rules';
import { TRACE } from './trace';
import {
  CHANCE,
  choice,
  COPIES,
  COUNT,
  COUNTS,
  FLAG,
  INDEX,
  QUEUE,
  RATE,
  SHARE,
  sizeUnit,
  SPAN,
  TIME,
  type Unit,
} from './units';

/** A word that narrows a match, with one value. */
interface MatchRow<T> {
  word: string;
  unit: Unit<T>;
  help: string;
}

/** Fields of Match that a word with a simple value stands for. */
export type SimpleField = Exclude<keyof Match, 'filter' | 'test' | 'after'>;
type SimpleRows = { readonly [K in SimpleField]: MatchRow<NonNullable<Match[K]>> };

/** The match of all frames. */
export const ALL = { word: 'all', help: 'every frame' } as const;
/** How help writes the filter, and the word that takes another match, in parentheses. */
export const FILTER = { form: 'EXPRESSION', help: 'a tcpdump expression, such as tcp port 443' } as const;
export const AFTER = {
  word: 'after',
  form: '(MATCH)',
  help: 'only frames after the first frame of the connection that matches MATCH',
} as const;

/** In the order in which they are written. */
export const MATCH_WORDS: SimpleRows = {
  from: { word: 'from', unit: choice('client', 'server'), help: 'only frames that this side of the connection sends' },
  connection: {
    word: 'connection',
    unit: COUNT,
    help: 'only the N-th connection of the same client to the same server and port: #N in the log',
  },
  between: {
    word: 'between',
    unit: SPAN,
    help: 'only in this span of time, counted from the first frame of the connection',
  },
  atByte: {
    word: 'at-byte',
    unit: INDEX,
    help: 'only the frame with this byte of the TCP stream, counted from 0; without its retransmissions, unless nth, every or first says otherwise',
  },
  nth: { word: 'nth', unit: COUNTS, help: 'only these of the matching frames of a connection, counted from 1' },
  every: { word: 'every', unit: COUNT, help: 'only every N-th of them' },
  first: { word: 'first', unit: COUNT, help: 'only the first N of them' },
  probability: { word: 'probability', unit: CHANCE, help: 'each of them with this chance' },
};

/** A value of an effect. It must be given unless there is an `otherwise`. */
export interface ValueRow<E> {
  field: Exclude<keyof E, 'kind'> & string;
  // Each field has a type of its own; what the unit of a row reads is written to the field of that row.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  unit: Unit<any>;
  otherwise?: unknown;
}

/** A value after a word of its own. */
export interface OptionRow<E> extends ValueRow<E> {
  word: string;
  otherwise: unknown;
  help: string;
}

export interface EffectRow<E> {
  /** One word or two. */
  word: string;
  help: string;
  values?: readonly ValueRow<E>[];
  options?: readonly OptionRow<E>[];
}

/** Bytes of the Ethernet header: a truncated frame keeps at least that. */
const ETHERNET_BYTES = 14;
/** In bytes: the smallest MTU of IPv4, and the largest of an Ethernet device. */
const MTU = { least: 68, most: 65535 } as const;
/** Defaults in milliseconds: the longest wait of a frame for others, and the queue of a line. */
const WITHIN_MS = 1000;
const QUEUE_MS = 100;

/** The queue in front of a line, which all effects with a line have. */
const LINE_QUEUE: readonly OptionRow<LineQueue & { kind: EffectKind }>[] = [
  {
    word: 'queue',
    field: 'queue',
    unit: QUEUE,
    otherwise: { ms: QUEUE_MS },
    help: `the queue of that line; a frame that finds it full does not arrive [${QUEUE_MS}ms]; codel drops frames that wait for too long`,
  },
  {
    word: 'target',
    field: 'targetMs',
    unit: TIME,
    otherwise: null,
    help: `of codel: the wait that it allows [${CODEL.target}ms]`,
  },
  {
    word: 'interval',
    field: 'intervalMs',
    unit: TIME,
    otherwise: null,
    help: `of codel: for how long all frames must have waited longer [${CODEL.interval}ms]`,
  },
];

export const EFFECT_WORDS: { readonly [K in EffectKind]: EffectRow<EffectOf<K>> } = {
  drop: { word: 'drop', help: 'it does not arrive' },
  loss: {
    word: 'loss',
    help: 'it does not arrive, with this chance',
    values: [{ field: 'probability', unit: CHANCE }],
  },
  gemodel: {
    word: 'loss gemodel',
    help: 'losses in bursts (Gilbert-Elliott): the chances of turning bad, of turning good again, of a loss while bad, and of a loss while good',
    values: [
      { field: 'p', unit: SHARE },
      { field: 'r', unit: SHARE },
      { field: 'bad', unit: SHARE, otherwise: 1 },
      { field: 'good', unit: SHARE, otherwise: 0 },
    ],
  },
  delay: {
    word: 'delay',
    help: 'it arrives later',
    values: [{ field: 'ms', unit: TIME }],
    options: [
      { word: 'jitter', field: 'jitterMs', unit: TIME, otherwise: 0, help: 'deviation from the delay' },
      {
        word: 'distribution',
        field: 'distribution',
        unit: choice('uniform', 'normal', 'pareto'),
        otherwise: 'uniform',
        help: 'of the jitter, which is the largest deviation if uniform, otherwise the standard deviation',
      },
      {
        word: 'unordered',
        field: 'unordered',
        unit: FLAG,
        otherwise: false,
        help: 'frames of a connection may overtake each other',
      },
    ],
  },
  rate: {
    word: 'rate',
    help: 'all frames of the rule share a line of this rate',
    values: [{ field: 'bitsPerSecond', unit: RATE }],
    options: LINE_QUEUE,
  },
  trace: {
    word: 'trace',
    help: 'all frames of the rule share a line that delivers packets at the times of this trace of mahimahi',
    values: [{ field: 'trace', unit: TRACE }],
    options: LINE_QUEUE,
  },
  duplicate: {
    word: 'duplicate',
    help: 'this many copies of it arrive as well [1]',
    values: [{ field: 'copies', unit: COPIES, otherwise: 1 }],
  },
  reorder: {
    word: 'reorder',
    help: 'it waits until N more frames of its direction have passed',
    values: [{ field: 'by', unit: COUNT }],
    options: [
      {
        word: 'within',
        field: 'withinMs',
        unit: TIME,
        otherwise: WITHIN_MS,
        help: `the longest wait [${WITHIN_MS / 1000}s]`,
      },
    ],
  },
  corrupt: {
    word: 'corrupt',
    help: 'one bit is flipped',
    options: [
      {
        word: 'in',
        field: 'part',
        unit: choice('ip', 'transport', 'payload'),
        otherwise: 'payload',
        help: 'the part of the frame [payload]',
      },
      { word: 'bit', field: 'bit', unit: INDEX, otherwise: null, help: 'which bit of that part [any]' },
      { word: 'valid', field: 'valid', unit: FLAG, otherwise: false, help: 'checksums are corrected' },
    ],
  },
  truncate: {
    word: 'truncate',
    help: 'only this many bytes of the frame arrive',
    values: [{ field: 'bytes', unit: sizeUnit(ETHERNET_BYTES) }],
  },
  ecn: { word: 'ecn', help: 'it is marked as having met congestion, if it is ECN-capable' },
  reset: {
    word: 'reset',
    help: 'instead of it, these sides receive a TCP reset [both]',
    values: [{ field: 'to', unit: choice('client', 'server', 'both'), otherwise: 'both' }],
  },
  unreachable: {
    word: 'unreachable',
    help: 'instead of it, its sender receives this ICMP error [port]',
    values: [{ field: 'what', unit: choice('net', 'host', 'protocol', 'port', 'prohibited'), otherwise: 'port' }],
  },
  'too-big': {
    word: 'too-big',
    help: 'instead of a packet longer than this MTU, its sender receives the ICMP error for that',
    values: [{ field: 'mtu', unit: sizeUnit(MTU.least, MTU.most) }],
  },
  cut: {
    word: 'cut',
    help: 'from it on, nothing arrives on the interface for this time',
    values: [{ field: 'ms', unit: TIME }],
  },
  carrier: {
    word: 'carrier',
    help: 'from it on, the interface has no carrier for this time, which applications see, and nothing arrives',
    values: [{ field: 'ms', unit: TIME }],
  },
  blackhole: { word: 'blackhole', help: 'from it on, nothing of its connection arrives' },
};

/** A row of an effect whose type is not known. */
export type AnyEffectRow = EffectRow<Record<string, unknown> & { kind: EffectKind }>;

export const effectRow = (kind: EffectKind): AnyEffectRow => EFFECT_WORDS[kind] as unknown as AnyEffectRow;

/** How an effect is written: its word, and what may follow. */
export function formOf({ word, values = [], options = [] }: AnyEffectRow): string {
  const shown = values.map(({ unit, otherwise }) => (otherwise === undefined ? unit.form : `[${unit.form}]`));
  return [
    word,
    ...shown,
    ...options.map((option) => `[${[option.word, option.unit.form].filter(Boolean).join(' ')}]`),
  ].join(' ');
}

/** One of the words, how it is written, and what it means. */
export interface HelpRow {
  form: string;
  help: string;
}

export const matchHelp = (): HelpRow[] => [
  FILTER,
  { form: ALL.word, help: ALL.help },
  ...Object.values(MATCH_WORDS).map(({ word, unit, help }) => ({ form: `${word} ${unit.form}`, help })),
  { form: `${AFTER.word} ${AFTER.form}`, help: AFTER.help },
];

export function effectHelp(): HelpRow[] {
  const rows = (Object.keys(EFFECT_WORDS) as EffectKind[]).map(effectRow);
  return rows.map((row) => {
    const options = (row.options ?? []).map(({ word, help }) => `${word}: ${help}`);
    return { form: formOf(row), help: [row.help, ...options].join('; ') };
  });
}

/** The example of rules in hints. */
export const EXAMPLE = 'udp port 53 nth 2: drop; tcp port 443: delay 40ms jitter 5ms loss 2%';

/** The most matches within each other, by `after`. */
export const AFTER_DEPTH_MAX = 16;

/** The most rules of one set. */
export const RULES_MAX = 1000;
