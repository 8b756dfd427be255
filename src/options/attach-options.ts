// SPDX-License-Identifier: MIT
/**
 * The options of attach, one row each. Command line, help, manual, completion, library, adoption, `--dry-run`, record,
 * programs and polling threads read the rows; the types of all of them are derived here.
 */
import { BATCH, QUEUES_MAX } from '../layout';
import { choice, flag, integer, type Row } from './row';
import {
  areRules,
  checkNetnsName,
  type Cidr,
  MAX_MTU,
  MIN_MTU,
  ON_HOOK_ERROR,
  onCommandLine,
  oneOf,
  parseCidr,
  parseInteger,
  parseMac,
  parseRingSize,
  parseWatermark,
  SEED_MAX,
} from './values';

/** The most microseconds of `--busy-poll`: a second. */
const BUSY_POLL_MAX_US = 1_000_000;
const QUEUE_PACKETS_MAX = 1 << 24;

/**
 * By the library's names, in the order of help. The comment of a row is what users of the library see in their editor.
 */
export const ATTACH_OPTIONS = {
  /** Kind of interface; defaults to `veth`, or to the kind of an interface that exists. */
  type: {
    flag: 'type',
    key: 'type',
    ...choice('veth', 'dummy'),
    default: 'veth',
    unset: null,
    adoption: 'must fit',
    describe: 'kind of interface',
  },
  /** Network namespace, by its name in `ip netns`; defaults to that of the process. */
  netns: {
    flag: 'netns',
    key: 'netns',
    kinds: ['string'],
    value: 'NAME',
    offers: 'namespaces',
    unset: null,
    read: checkNetnsName,
    adoption: 'changes',
    describe: 'network namespace to make it in',
  },
  /** Addresses with prefix length, such as `192.168.100.1/24`; put on the interface and routed through the loop. */
  addresses: {
    flag: 'addr',
    key: 'addresses',
    kinds: ['texts'],
    value: 'CIDR',
    unset: [] as Cidr[],
    read: parseCidr,
    adoption: 'changes',
    describe: 'address with prefix length, looped; may be repeated',
  },
  /** Also loops each address that the interface gets later. */
  hairpin: {
    flag: 'hairpin',
    key: 'hairpin',
    ...flag,
    adoption: 'changes',
    describe: 'loop every address that the interface gets later, too',
  },
  /** Ethernet address; random by default. */
  mac: {
    flag: 'mac',
    key: 'mac',
    kinds: ['string'],
    value: 'MAC',
    unset: null,
    read: parseMac,
    adoption: 'asked',
    describe: 'Ethernet address; random unless given',
  },
  /** MTU in bytes; defaults to 1500. */
  mtu: {
    flag: 'mtu',
    key: 'mtu',
    ...integer(MIN_MTU, MAX_MTU),
    default: '1500',
    unset: null,
    adoption: 'asked',
    describe: 'MTU in bytes',
  },
  /**
   * Number of queues, each with a ring and a thread of its own, 1 to 16; a flow keeps to one queue. Defaults to 1,
   * which a hook requires.
   */
  queues: {
    flag: 'queues',
    key: 'queues',
    ...integer(1, QUEUES_MAX),
    default: '1',
    adoption: 'must fit',
    running: true,
    constant: 'queues',
    describe: 'queues, each with a ring and a thread of its own; a flow keeps to one',
  },
  /** Ring size of each queue, in bytes or with a unit such as `8M`; a power of two from 256 KiB to 256 MiB. */
  ringSize: {
    flag: 'ring-size',
    key: 'ringBytes',
    kinds: ['number', 'string'],
    value: 'SIZE',
    default: '8M',
    read: parseRingSize,
    adoption: 'must fit',
    running: true,
    describe: 'size of the ring buffer of each queue, a power of two',
  },
  /** Most frames in each queue. */
  queuePackets: {
    flag: 'queue-packets',
    key: 'queuePackets',
    ...integer(1, QUEUE_PACKETS_MAX),
    unset: 0,
    adoption: 'must fit',
    running: true,
    constant: 'queue_packets',
    describe: 'limit each queue to this many frames, as a descriptor ring does',
  },
  /** Frames per poll, 1 to 1024. */
  budget: {
    flag: 'budget',
    key: 'budget',
    ...integer(1, BATCH.max),
    default: '64',
    adoption: 'changes',
    running: true,
    polling: (frames: number) => `${frames} frames at a time`,
    describe: `frames per poll, 1 to ${BATCH.max}`,
  },
  /** Whether neighbouring datagrams of a flow are merged on the reinject path; defaults to true. */
  gro: {
    flag: 'gro',
    key: 'gro',
    choices: ['on', 'off'],
    kinds: ['boolean'],
    default: 'on',
    read: (text, place): boolean => oneOf(text, ['on', 'off'], place) === 'on',
    asText: (value: boolean) => (value ? 'on' : 'off'),
    adoption: 'changes',
    running: true,
    describe: 'merge neighbouring datagrams of a flow on the reinject path',
  },
  /** Microseconds for which the poller busy-polls before it sleeps; by default the traffic decides. */
  busyPoll: {
    flag: 'busy-poll',
    key: 'busyPollUs',
    kinds: ['number', 'string'],
    words: ['auto'],
    value: 'USEC',
    default: 'auto',
    read: (text, place): number | null => (text === 'auto' ? null : parseInteger(text, place, 0, BUSY_POLL_MAX_US)),
    adoption: 'changes',
    running: true,
    describe: 'microseconds for which the poller looks for frames before it sleeps',
  },
  /** Whether frames that find the queue full wait (`hold`) or are refused (`drop`). */
  whenFull: {
    flag: 'when-full',
    key: 'whenFull',
    ...choice('hold', 'drop'),
    default: 'hold',
    unset: null,
    adoption: 'must fit',
    describe: 'frames that find the queue full wait, or are refused',
  },
  /** Fill level at which the queue wakes, in per cent, 0 to 99. */
  lowWatermark: {
    flag: 'low-watermark',
    key: 'lowWatermark',
    kinds: ['number'],
    value: 'P%',
    default: '50%',
    read: parseWatermark,
    asText: (value: number) => `${value}%`,
    takenAsText: (part: number) => `${Number((part * 100).toFixed(5))}%`,
    inLibrary: (text: string) => text.replace('%', ''),
    adoption: 'must fit',
    describe: 'part of the queue at which it wakes',
  },
  /** File of a hook: a path, or a file: URL such as `new URL('./hook.js', import.meta.url)`. */
  hook: {
    flag: 'hook',
    key: 'hook',
    kinds: ['string', 'URL'],
    value: 'FILE',
    offers: 'files',
    unset: null,
    read: (text): string => text,
    namesFile: () => true,
    adoption: 'changes',
    describe: 'file that sees each frame: TypeScript or JavaScript',
  },
  /** What happens to a frame on which the hook fails. */
  onHookError: {
    flag: 'on-hook-error',
    key: 'onHookError',
    ...choice(...ON_HOOK_ERROR),
    default: 'pass',
    unset: null,
    adoption: 'changes',
    describe: 'what becomes of a frame whose hook fails',
  },
  /**
   * Faults from the first frame on: rules such as `'udp port 53 nth 2: drop'`, or a file of them; see `Nic.faults()`.
   */
  faults: {
    flag: 'faults',
    key: 'faults',
    kinds: ['string'],
    value: 'RULES|FILE',
    offers: 'files',
    unset: null,
    read: (text): string => text,
    namesFile: (text: string) => !areRules(text),
    adoption: 'changes',
    describe: "what happens to which frames: 'udp port 53 nth 2: drop', or a file of such rules",
  },
  /** Seed of the faults; defaults to the file's, or 1. */
  seed: {
    flag: 'seed',
    key: 'seed',
    ...integer(0, SEED_MAX),
    default: "the file's, or 1",
    unset: null,
    adoption: 'changes',
    describe: 'seed of the faults: the same seed does the same again',
  },
  /** Detaches the interface first if it is attached. */
  replace: {
    flag: 'replace',
    key: 'replace',
    ...flag,
    adoption: 'changes',
    describe: 'detach the interface first if it is attached',
  },
} as const satisfies Readonly<Record<string, Row>>;

// Types derived from the rows.

type Rows = typeof ATTACH_OPTIONS;
export type OptionName = keyof Rows;

type TextOf<R extends Row> = R extends { words: readonly (infer Word)[] }
  ? Word
  : R extends { choices: readonly (infer Choice)[] }
    ? Choice
    : string;
/** An option with several values has those of `unset`. */
type ValueOf<R extends Row> =
  | (R extends { unset: infer Unset } ? Unset : never)
  | (R extends { kinds: readonly ['texts'] } ? never : ReturnType<R['read']>);
type TypedOf<R extends Row> = R extends { isFlag: true }
  ? boolean
  : R extends { kinds: readonly ['texts'] }
    ? string[]
    : R extends { choices: readonly (infer Choice)[] }
      ? Choice
      : string;
type CamelCase<Flag extends string> = Flag extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Flag;

/**
 * The options as the library is given them. Only `keyof Rows` itself, not its alias, gives each property the comment of
 * its row.
 */
export type LibraryOptions = {
  -readonly [Name in keyof Rows]?: {
    string: TextOf<Rows[Name]>;
    number: number;
    boolean: boolean;
    texts: readonly string[];
    URL: URL;
  }[Rows[Name]['kinds'][number]];
};

/** The options as the command line is given them, by their flags in camel case. */
export type TypedOptions = { -readonly [Name in OptionName as CamelCase<Rows[Name]['flag']>]?: TypedOf<Rows[Name]> };

/**
 * The options as they were read. Null where nothing was given and what happens then depends on the interface: on its
 * kind, on whether it exists, or on what a crashed controller left.
 */
export type AttachOptions = { -readonly [Name in OptionName as Rows[Name]['key']]: ValueOf<Rows[Name]> };

/**
 * The options that a running interface goes on having, by the same keys as in AttachOptions: its record keeps them, and
 * its polling threads get them.
 */
export type RunningOptions = {
  -readonly [Name in OptionName as Rows[Name] extends { running: true } ? Rows[Name]['key'] : never]: ValueOf<
    Rows[Name]
  >;
};

/** The options that the polling threads receive. */
export interface PollOptions extends RunningOptions {
  /** Microseconds to rest after each poll that found frames. A slow poller lets the queue fill, for tests only. */
  pollDelayUs: number;
}

// The rows as a list, and the values of many options at once.

export interface AttachOption extends Row {
  /** The property of NicOptions. */
  name: OptionName;
  key: keyof AttachOptions;
}

export const OPTION_ROWS: readonly AttachOption[] = Object.entries(ATTACH_OPTIONS).map(([name, row]) => ({
  ...row,
  name: name as OptionName,
}));

export interface RunningOption extends AttachOption {
  key: keyof RunningOptions;
}

export const RUNNING_ROWS = OPTION_ROWS.filter((row): row is RunningOption => row.running === true);

/** A value of AttachOptions as the command line writes it. */
export const takenText = (row: AttachOption, value: unknown): string =>
  textOf(row.takenAsText ? { asText: row.takenAsText } : row, value);

/** A value of the library as the command line writes it. */
export const textOf = ({ asText = String }: Pick<AttachOption, 'asText'>, value: unknown): string =>
  (asText as (value: unknown) => string)(value);

const defaultOf = ({ flag: name, default: text = '', read, ...row }: AttachOption): unknown =>
  'unset' in row ? row.unset : read(text, onCommandLine(name, text));

/** The values of options that are not given. */
export const DEFAULTS = Object.fromEntries(OPTION_ROWS.map((row) => [row.key, defaultOf(row)])) as AttachOptions;

/** The running options among others. */
export const runningOptionsOf = (all: RunningOptions): RunningOptions =>
  Object.fromEntries(RUNNING_ROWS.map(({ key }) => [key, all[key]])) as RunningOptions;

export const pollOptionsOf = (all: RunningOptions): PollOptions => ({
  ...runningOptionsOf(all),
  pollDelayUs: Number(process.env['VNET_BPF_TEST_POLL_DELAY_US'] ?? 0),
});
