// SPDX-License-Identifier: MIT
/** Reads the options of attach() and `vnet-bpf attach` by their table. */
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

import { didYouMean, usageError, type VnetError } from '../errors';
import {
  ATTACH_OPTIONS,
  type AttachOption,
  type AttachOptions,
  DEFAULTS,
  OPTION_ROWS,
  type OptionName,
  textOf,
} from './attach-options';
import type { Kind } from './row';
import { camelCase, checkInterfaceName, inLibrary, IPV6_MIN_MTU, onCommandLine, type Place } from './values';

/** How a user writes an option, and its value if there is one: `--addr ...`, `addresses ...`. */
type Spelling = (name: OptionName, ...value: readonly string[]) => string;

const asFlag: Spelling = (name, ...value) => [`--${ATTACH_OPTIONS[name].flag}`, ...value].join(' ');
const asProperty: Spelling = (name, ...value) => [name, ...value].join(' ');

/** Checks options against each other. Throws a USAGE error. */
function checkTogether({ addresses, mtu, hook, queues, faults, seed }: AttachOptions, say: Spelling): void {
  const seen = new Set<string>();
  for (const { address } of addresses) {
    if (seen.has(address)) throw usageError(say('addresses', address), 'is given twice', 'give each address once');
    seen.add(address);
  }
  if (mtu !== null && mtu < IPV6_MIN_MTU && addresses.some(({ family }) => family === 6)) {
    throw usageError(
      say('mtu', String(mtu)),
      `is less than the ${IPV6_MIN_MTU} that IPv6 needs`,
      `a larger ${say('mtu')}, or IPv4 addresses only`,
    );
  }
  // A hook needs to see all frames in one place, and so do faults.
  const judge = hook !== null ? 'hook' : faults !== null ? 'faults' : null;
  if (judge !== null && queues > 1)
    throw usageError(
      say('queues', String(queues)),
      `${judge === 'hook' ? 'a hook takes' : 'faults take'} one queue`,
      `leave ${say('queues')} or ${say(judge)} out`,
    );
  if (hook !== null && faults !== null)
    throw usageError(
      say('faults', faults),
      'an interface has a hook or faults',
      `leave ${say('hook')} or ${say('faults')} out`,
    );
  if (seed !== null && faults === null)
    throw usageError(
      say('seed', String(seed)),
      'is the seed of faults, and there are none',
      `${say('faults', "'udp port 53 nth 2: drop'")}, or leave it out`,
    );
}

function readAll(read: (row: AttachOption) => unknown): AttachOptions {
  const options: Record<string, unknown> = { ...DEFAULTS };
  for (const row of OPTION_ROWS) {
    const value = read(row);
    if (value !== undefined) options[row.key] = value;
  }
  return options as unknown as AttachOptions;
}

/** Reads options of the command line, by their flags in camel case. `file` makes a path absolute. */
export function readFlags(given: Readonly<Record<string, unknown>>, file: (name: string) => string): AttachOptions {
  const options = readAll(({ flag, read, namesFile }) => {
    const value = given[camelCase(flag)] as string | string[] | boolean | undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value)) return value.map((text) => read(text, onCommandLine(flag, text)));
    const text = String(value);
    return namesFile?.(text) ? file(text) : read(text, onCommandLine(flag, text));
  });
  checkTogether(options, asFlag);
  return options;
}

const KIND_WORDS: Readonly<Record<Kind, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'a boolean',
  texts: 'an array of strings',
  URL: 'a file: URL',
};

/** Describes a value in words. Never throws, whatever the value is. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${typeof value[0]}s`;
  const article = typeof value === 'object' || typeof value === 'undefined' ? 'an' : 'a';
  return value === undefined ? 'undefined' : `${article} ${typeof value}`;
}

/** Whether a value is a URL, also one of another realm, as in test runners. */
const isUrl = (value: unknown): value is URL =>
  typeof value === 'object' && value !== null && 'href' in value && 'protocol' in value;
const isSignal = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'aborted' in value && 'throwIfAborted' in value;

const isOfKind: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  texts: (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
  URL: (value) => isUrl(value) && value.protocol === 'file:',
};

function wrongKind(name: string, value: unknown, kinds: readonly Kind[]): VnetError {
  const is = isUrl(value) ? `a URL of ${value.protocol}` : kindOf(value);
  return usageError(
    name,
    `is ${is}, not ${kinds.map((kind) => KIND_WORDS[kind]).join(' or ')}`,
    'docs/hooks.md, "The library", shows what attach() takes',
  );
}

/** Checks the kind of a value of the library. Throws a USAGE error. */
export function requireKind(name: string, value: unknown, ...kinds: readonly Kind[]): void {
  if (!kinds.some((kind) => isOfKind[kind](value))) throw wrongKind(name, value, kinds);
}

/** The absolute path of a file as passed to the library. */
function filePath(name: string, file: string | URL): string {
  try {
    return path.resolve(typeof file === 'string' ? file : fileURLToPath(file.href));
  } catch (cause) {
    throw usageError(
      `${name} ${String(file)}`,
      cause instanceof Error ? cause.message : String(cause),
      "such as new URL('./hook.js', import.meta.url)",
    );
  }
}

/** The absolute path of a hook's file as passed to the library. */
export function hookFile(hook: string | URL): string {
  requireKind('hook', hook, 'string', 'URL');
  return filePath('hook', hook);
}

/** Options of the library that do not concern the interface. */
const BESIDES = ['metrics', 'signal'] as const;

/** Checks the arguments of the library's attach(), except what requires the kernel. */
export function readLibraryOptions(iface: unknown, options: unknown): AttachOptions {
  requireKind('the interface name', iface, 'string');
  checkInterfaceName(iface as string);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongOptions(options);
  const given = options as Readonly<Record<string, unknown>>;
  const names: readonly string[] = [...OPTION_ROWS.map(({ name }) => name), ...BESIDES];
  for (const name of Object.keys(given)) {
    if (!names.includes(name))
      throw usageError(
        name,
        'is not an option of attach()',
        didYouMean(name, names, `the options are ${names.join(', ')}`),
      );
  }
  const { metrics, signal } = given;
  if (metrics !== undefined) requireKind('metrics', metrics, 'string');
  if (signal !== undefined && !isSignal(signal))
    throw usageError(
      'signal',
      `is ${kindOf(signal)}, not an AbortSignal`,
      'such as signal: AbortSignal.timeout(60_000)',
    );
  const read = readAll((row) => readProperty(row, given[row.name]));
  checkTogether(read, asProperty);
  return read;
}

const wrongOptions = (options: unknown): VnetError =>
  usageError(
    'the options of attach()',
    `are ${kindOf(options)}, not an object`,
    "such as { addresses: ['10.77.0.1/24'] }",
  );

function readProperty(row: AttachOption, value: unknown): unknown {
  const { name, kinds, read, namesFile, inLibrary: shown = quotedUnlessNumber } = row;
  if (value === undefined) return undefined;
  requireKind(name, value, ...kinds);
  if (Array.isArray(value)) return (value as string[]).map((text) => read(text, inLibrary(name, text, shown)));
  if (namesFile?.(String(value as string | URL))) return filePath(name, value as string | URL);
  const place: Place = inLibrary(name, value, shown);
  return read(textOf(row, value), place);
}

const quotedUnlessNumber = (text: string): string => (/^\d+$/.test(text) ? text : `'${text}'`);
