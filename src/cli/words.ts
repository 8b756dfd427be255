// SPDX-License-Identifier: MIT
/** Takes a command line apart with yargs: which words are options and their values, and which are operands. */
// Not from `yargs`, which makes a parser of its own when it is loaded: 5 ms.
import yargs from 'yargs/yargs';

import type { Declared } from './command-table';

export type Options = ReadonlyMap<string, Declared>;

/** An option that was given several times has several values. */
export type Given = string | boolean | string[];

export interface Words {
  /** By the option's name. */
  given: Map<string, Given>;
  /** Operands, and options that nobody has declared, in their order. */
  words: string[];
}

/** The option, as it was typed, that has no value. */
export class MissingValue extends Error {
  constructor(
    readonly option: string,
    readonly typed: string,
  ) {
    super(`${typed} has no value`);
  }
}

/** All arguments are text, there is no --no-OPTION, and an option that nobody has declared is a word. */
const CONFIGURATION = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'duplicate-arguments-array': true,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'strip-aliased': true,
  'unknown-options-as-args': true,
};

export const takesValue = ({ type }: Declared): boolean => type !== 'boolean';
/** Whether a word is written as an option is. */
export const looksLikeOption = (word: string): boolean => word.startsWith('-') && word !== '-';

/** Throws MissingValue, unless a value may be missing. */
export function takeApart(args: readonly string[], options: Options, values: 'needed' | 'may be missing' = 'needed'): Words {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const declared = [...options].map(([name, option]) => {
    const needed = takesValue(option) && option.requiresArg && values === 'needed';
    return [name, { type: takesValue(option) ? ('string' as const) : ('boolean' as const), ...(option.alias !== undefined && { alias: option.alias }), ...(needed && { nargs: 1 }) }] as const;
  });
  let missing: MissingValue | undefined;
  // The directory is for yargs, which would ask for the working directory.
  const { _, $0: _script, ...found } = yargs([...own], __dirname)
    .locale('en')
    .help(false)
    .version(false)
    .exitProcess(false)
    .parserConfiguration(CONFIGURATION)
    .options(Object.fromEntries(declared))
    .fail((message) => (missing ??= missingValue(message, options)))
    .parseSync();
  if (missing) throw missing;
  const given = new Map(Object.entries(found).filter(([name, value]) => options.has(name) && value !== undefined) as [string, Given][]);
  return { given, words: [..._.map(String), ...(end < 0 ? [] : args.slice(end + 1))] };
}

/** "Not enough arguments following: w" is the one complaint that yargs has of what is declared to it here. */
function missingValue(message: string, options: Options): MissingValue {
  const typed = /: (\S+)$/.exec(message)?.[1] ?? '';
  const name = options.has(typed) ? typed : ([...options].find(([, { alias }]) => alias === typed)?.[0] ?? typed);
  return new MissingValue(name, typed.length === 1 ? `-${typed}` : `--${typed}`);
}

/** Where the first operand is; -1 if there is none. */
export function firstWordAt(args: readonly string[], options: Options): number {
  for (let at = 0; at < args.length && args[at] !== '--'; at++) {
    if (looksLikeOption(args[at] as string)) continue;
    const { words } = takeApart(args.slice(0, at + 1), options, 'may be missing');
    if (words.some((word) => !looksLikeOption(word))) return at;
  }
  return -1;
}
