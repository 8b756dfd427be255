// SPDX-License-Identifier: MIT
/**
 * The record of an attachment as stored in its file, and the check of such a file: each field is checked by type before
 * anything reads it.
 */
import * as net from 'node:net';

import type { TcLinkState } from 'libbpf-ts';

import { VnetError } from '../errors';
import { DEFAULTS, RUNNING_ROWS, type RunningOption, type RunningOptions, textOf } from '../options/attach-options';
import { onCommandLine } from '../options/values';
import type { ImpairmentByRules, ImpairmentRecord } from './impairment';

/**
 * Raised with every change of the record, and when a word that the programs and TypeScript share gets another meaning.
 * Where those words are is in LAYOUT_HASH. Another running option does not count: a record without it means its
 * default.
 */
export const RECORD_VERSION = 17;

// Checks that a parsed JSON value has the expected type. Each check returns the value, or throws a ShapeError.

/** Says what is wrong, and where: `netns.inode is not a whole number`. */
export class ShapeError extends Error {}

export type Check<T> = (value: unknown, at: string) => T;

/** A check for each field of a type. A field that is added to the type and not here does not compile. */
export type Fields<T> = { readonly [Name in keyof T]-?: Check<T[Name]> };

const wrong = (at: string, why: string): never => {
  throw new ShapeError(`${at} ${why}`);
};

/** A whole number within bounds, small enough for JSON to hold it exactly. */
export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> =>
  (value, at) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : wrong(at, `is not a whole number from ${min} to ${max}`);

export const boolean: Check<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : wrong(at, 'is not true or false');

/** Text that `holds` accepts; `what` names such a text in messages. */
export const text =
  (what: string, holds: (value: string) => boolean): Check<string> =>
  (value, at) =>
    typeof value === 'string' && holds(value) ? value : wrong(at, `is not ${what}`);

export const oneOf =
  <T extends string | number>(...choices: readonly T[]): Check<T> =>
  (value, at) =>
    choices.find((choice) => choice === value) ?? wrong(at, `is not one of ${choices.join(', ')}`);

export const nullable =
  <T>(check: Check<T>): Check<T | null> =>
  (value, at) =>
    value === null ? null : check(value, at);

/** Takes a missing value, which older versions did not write, as null. */
export const nullIfMissing =
  <T>(check: Check<T>): Check<T | null> =>
  (value, at) =>
    value === undefined || value === null ? null : check(value, at);

export const listOf =
  <T>(check: Check<T>): Check<T[]> =>
  (value, at) =>
    Array.isArray(value) ? value.map((each: unknown, i) => check(each, `${at}[${i}]`)) : wrong(at, 'is not a list');

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object with these fields; others are left out. */
export const object =
  <T>(fields: Fields<T>): Check<T> =>
  (value, at) => {
    if (!isObject(value)) return wrong(at, 'is not an object');
    const entries = Object.entries<Check<unknown>>(fields).map(
      ([name, check]) => [name, check(own(value, name), at === '' ? name : `${at}.${name}`)] as const,
    );
    return Object.fromEntries(entries) as T;
  };

/** Takes fields under the names that older versions gave them, too: `names` has the former name of each. */
const formerly =
  <T>(names: Readonly<Record<string, string>>, check: Check<T>): Check<T> =>
  (value, at) => {
    if (!isObject(value)) return check(value, at);
    const renamed = Object.entries(names).flatMap(([name, former]) =>
      Object.hasOwn(value, former) ? [[name, value[former]] as const] : [],
    );
    return check({ ...Object.fromEntries(renamed), ...value }, at);
  };

/** The fields that pass their checks. */
export function partial<T>(fields: Fields<T>, value: unknown): Partial<T> {
  if (!isObject(value)) return {};
  const entries = Object.entries<Check<unknown>>(fields).flatMap(([name, check]) => {
    try {
      return [[name, check(own(value, name), name)] as const];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(entries) as Partial<T>;
}

/** A property of the object itself: an inherited one, such as `constructor`, is no field of a file. */
const own = (value: Record<string, unknown>, name: string): unknown =>
  Object.hasOwn(value, name) ? value[name] : undefined;

/**
 * A network namespace. The kernel gives the inode of a namespace that is gone to a new one, but its cookie to none
 * until the next boot. `cookie` and `boot` are null in records of older versions, `cookie` also before Linux 5.14.
 */
export interface NetnsRecord {
  /** Its name for `ip netns` at attach, or null. */
  name: string | null;
  inode: number;
  /** SO_NETNS_COOKIE of the sockets in it, in decimal. */
  cookie: string | null;
  /** /proc/sys/kernel/random/boot_id at attach. */
  boot: string | null;
}

/** Entry and exit of one queue's waiting room. */
export interface Room {
  entry: { name: string; ifindex: number };
  exit: { name: string; ifindex: number };
}

/** The state of an existing interface when attach took it. */
export interface TakenRecord {
  wasUp: boolean;
  addresses: string[];
  sysctls: Record<string, string>;
  /** Its link group; null in records of older versions. */
  group: number | null;
}

/** What hairpin changed in the namespace, so that it can be restored. */
export interface HairpinRecord {
  addresses: { family: 4 | 6; address: string }[];
  table: number;
}

/** What is attached. Sizes and limits among its options are those of each queue. */
export interface Attachment extends RunningOptions {
  version: number;
  id: string;
  /** `attaching` until everything is in place, `detaching` once it is being removed. */
  phase: 'attaching' | 'running' | 'detaching';
  iface: string;
  ifindex: number;
  /** The state of an interface that existed before attach, which detach restores. Null if attach made it. */
  taken: TakenRecord | null;
  /** Addresses that attach added. */
  added: string[];
  netns: NetnsRecord;
  backend: 'veth' | 'dummy';
  /** The end of a veth in the peer namespace; null for a dummy. */
  peer: { name: string; ifindex: number } | null;
  /** skb->mark of reinjected frames if there is no peer; otherwise 0. */
  reinjectMark: number;
  /** The waiting room of each queue, where held frames enter and leave it; empty without --when-full hold. */
  rooms: Room[];
  attach: 'tcx' | 'clsact';
  links: { tx: TcLinkState; sink: TcLinkState | null; resegment: TcLinkState | null; release: TcLinkState[] } | null;
  pid: number;
  startedAt: string;
  /** The largest superpacket of TCP over IPv4, in bytes. */
  superpacketBytes: number;
  /** Limits of each queue. */
  lowWatermarkBytes: number;
  lowWatermarkPackets: number;
  whenFull: 'hold' | 'drop';
  /** The file of the hook in place, or null. */
  hook: string | null;
  /** What happens to a frame on which a hook fails, kept while there is none. */
  onHookError: 'pass' | 'drop' | 'detach';
  /**
   * Why nothing passes: the thread of a hook that decides about traffic has ended and has not been started again yet.
   * Otherwise null.
   */
  hookDown: string | null;
  /**
   * The faults in place: a JSON document, or a module and a seed for it; null for none. An adoption puts them in place
   * again.
   */
  faults: { document: string | null; file: string | null; seed: number | null } | null;
  /**
   * The carrier was taken away: until when, in milliseconds of CLOCK_MONOTONIC, or null if another order has to restore
   * it. Null while the carrier is there.
   */
  carrierLost: { until: number | null } | null;
  /** The peer's counters at attach, for an interface that has been in use before. */
  baseline: { peerTxPackets: number };
  hairpin: HairpinRecord | null;
  /** Null: never impaired. */
  impairment: ImpairmentRecord | null;
  /** Number of frames that the reinject path lost because vnet0 was down, or had a smaller MTU by then. */
  lostByChange: { down: number; toolong: number };
  /** URL of its metrics while its controller serves them. */
  metrics: string | null;
}

/**
 * The kernel's rule for names of interfaces (dev_valid_name in net/core/dev.c): they become parts of paths in /proc.
 */
// eslint-disable-next-line no-control-regex
const isInterfaceName = (name: string): boolean => Buffer.byteLength(name) <= 15 && !/^\.{0,2}$|[/:\s\0]/.test(name);
// eslint-disable-next-line no-control-regex
const isFileName = (name: string): boolean => name.length <= 255 && !/^\.{0,2}$|[/\0]/.test(name);
/** The longest text: longer than any path, so that nothing that is shown or passed on is huge. */
const TEXT_MAX = 4096;
const LIST_MAX = 4096;

const count = integer(0);
const index = integer(0, 2 ** 31 - 1);
const anyText = text('text', (value) => value.length <= TEXT_MAX);
/** The longest document of faults, in characters: as long as an order may be. */
const DOCUMENT_MAX = 1 << 20;
const documentText = text('a document', (value) => value.length <= DOCUMENT_MAX);
const interfaceName = text('the name of an interface', isInterfaceName);
const address = text('an address', (value) => net.isIP(value) !== 0);
const decimal = text('a number in digits', (value) => /^\d{1,20}$/.test(value));
const end = object<{ name: string; ifindex: number }>({ name: interfaceName, ifindex: index });
const few =
  <T>(check: Check<T>): Check<T[]> =>
  (value, at) => {
    const list = listOf(check)(value, at);
    if (list.length > LIST_MAX) throw new ShapeError(`${at} has more than ${LIST_MAX} entries`);
    return list;
  };

/** The sysctls that are written back into /proc/sys, by name. */
const sysctls: Check<Record<string, string>> = (value, at) => {
  if (!isObject(value)) throw new ShapeError(`${at} is not an object`);
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      oneOf('accept_local', 'rp_filter')(name, at),
      text('a digit', (digit) => /^\d$/.test(digit))(each, `${at}.${name}`),
    ]),
  );
};

const target = { ifindex: index, direction: oneOf('ingress', 'egress'), progId: integer(0, 2 ** 32 - 1) } as const;
const pinned = { ...target, pinPath: anyText } as const;
const tcx = { kind: oneOf('tcx'), linkId: integer(0, 2 ** 32 - 1) } as const;
const clsact = {
  kind: oneOf('clsact'),
  handle: integer(0, 2 ** 32 - 1),
  priority: integer(0, 65535),
  createdQdisc: boolean,
} as const;

const tcLink: Check<TcLinkState> = (value, at) => {
  if (!isObject(value)) throw new ShapeError(`${at} is not an object`);
  const common = value['pinPath'] === undefined ? target : pinned;
  const fields: object = value['kind'] === 'tcx' ? { ...common, ...tcx } : { ...common, ...clsact };
  return object<TcLinkState>(fields as Fields<TcLinkState>)(value, at);
};

/** The value of an option: one that a user can give, or the default, also if the record is older than the option. */
const option =
  (row: RunningOption): Check<unknown> =>
  (value, at) => {
    const { flag, key, read } = row;
    if (value === undefined || value === DEFAULTS[key]) return DEFAULTS[key];
    try {
      if (typeof value !== 'object' && read(textOf(row, value), onCommandLine(flag, '')) === value) return value;
    } catch (error) {
      if (!(error instanceof VnetError)) throw error;
    }
    return wrong(at, `is not a value of --${flag}`);
  };

const FIELDS: Fields<Attachment> = {
  version: count,
  id: text('eight hexadecimal digits', (value) => /^[0-9a-f]{8}$/.test(value)),
  phase: oneOf('attaching', 'running', 'detaching'),
  iface: interfaceName,
  ifindex: index,
  taken: nullable(
    object<TakenRecord>({ wasUp: boolean, addresses: few(address), sysctls, group: nullIfMissing(count) }),
  ),
  added: few(address),
  netns: object<NetnsRecord>({
    name: nullable(text('the name of a namespace', isFileName)),
    inode: count,
    cookie: nullIfMissing(decimal),
    boot: nullIfMissing(text('a boot id', (value) => /^[0-9a-f-]{36}$/.test(value))),
  }),
  backend: oneOf('veth', 'dummy'),
  peer: nullable(end),
  reinjectMark: integer(0, 2 ** 32 - 1),
  rooms: few(object<Room>({ entry: end, exit: end })),
  attach: oneOf('tcx', 'clsact'),
  links: nullable(
    formerly(
      { resegment: 'cut', release: 'retry' },
      object<NonNullable<Attachment['links']>>({
        tx: tcLink,
        sink: nullable(tcLink),
        resegment: nullable(tcLink),
        release: few(tcLink),
      }),
    ),
  ),
  pid: integer(1, 2 ** 31 - 1),
  startedAt: text('a time', (value) => value.length <= TEXT_MAX && !Number.isNaN(Date.parse(value))),
  ...(Object.fromEntries(RUNNING_ROWS.map((row) => [row.key, option(row)])) as Fields<RunningOptions>),
  superpacketBytes: count,
  lowWatermarkBytes: count,
  lowWatermarkPackets: count,
  whenFull: oneOf('hold', 'drop'),
  hook: nullable(anyText),
  onHookError: (value, at) => (value === null ? 'pass' : oneOf('pass', 'drop', 'detach')(value, at)),
  hookDown: nullable(anyText),
  faults: nullable(
    object<NonNullable<Attachment['faults']>>({
      document: nullable(documentText),
      file: nullable(anyText),
      seed: nullable(count),
    }),
  ),
  carrierLost: nullable(object<NonNullable<Attachment['carrierLost']>>({ until: nullable(count) })),
  baseline: object<Attachment['baseline']>({ peerTxPackets: count }),
  hairpin: nullable(
    object<HairpinRecord>({
      addresses: few(object<HairpinRecord['addresses'][number]>({ family: oneOf(4, 6), address })),
      table: integer(0, 2 ** 32 - 1),
    }),
  ),
  impairment: nullable(
    object<ImpairmentRecord>({
      words: nullable(few(anyText)),
      enobufs: count,
      drops: count,
      lost: count,
      backlog: count,
      byRules: nullIfMissing(
        object<ImpairmentByRules>({
          dropped: count,
          injected: count,
          since: nullable(object<NonNullable<ImpairmentByRules['since']>>({ dropped: count, injected: count })),
        }),
      ),
    }),
  ),
  lostByChange: object<Attachment['lostByChange']>({ down: count, toolong: count }),
  metrics: nullable(anyText),
};

/**
 * The attachment in a file, or the reason why the file cannot be relied on, with those of its fields that are sound.
 */
export type Parsed = { attachment: Attachment } | { why: string; sound: Partial<Attachment> };

/** Reads the text of the file of the attachment `id`. Never throws. */
export function parseRecord(id: string, content: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { why: content.trim() === '' ? 'it is empty' : 'it is not JSON', sound: {} };
  }
  try {
    const attachment = object(FIELDS)(value, '');
    const { queues, rooms, whenFull } = attachment;
    if (attachment.id !== id) throw new ShapeError(`id is not ${id}`);
    if (rooms.length !== (whenFull === 'hold' ? queues : 0)) throw new ShapeError('rooms are not one for each queue');
    if ((attachment.backend === 'veth') !== (attachment.peer !== null))
      throw new ShapeError('peer does not go with backend');
    return { attachment };
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return { why: error.message.replace(/^ /, 'it '), sound: partial(FIELDS, value) };
  }
}
