// SPDX-License-Identifier: MIT
/**
 * Parses a command line by the declarations of the commands (declarations.ts). yargs splits the words; this file
 * decides what they may be, and reports wrong ones.
 */
import yargs from 'yargs/yargs';

import { didYouMean, shellWord, usageError, type VnetError } from '../errors';
import { camelCase, onCommandLine, oneOf } from '../options/values';
import {
  type Command,
  commandNamed,
  type Declared,
  GLOBAL_OPTIONS,
  type Operand,
  type Options,
  usageOf,
} from './declarations';

// `vnet-bpf run [options] -- COMMAND ARGS...`: the words after `--` belong to another program.

export interface SplitArguments {
  /** For vnet-bpf to parse. */
  own: string[];
  /** The command to run and its arguments, unchanged; empty where there is none. */
  command: string[];
}

export function splitCommand(commands: readonly Command[], args: readonly string[]): SplitArguments {
  const at = args.indexOf('--');
  const name = args.slice(0, Math.max(0, at)).find((arg) => !arg.startsWith('-'));
  const command = name === undefined ? null : commandNamed(commands, name);
  if (command?.runsAnother) return { own: args.slice(0, at), command: args.slice(at + 1) };
  // Where unknown options are words, words after `--` are like those before it.
  return { own: command?.takesUnknown ? args.filter((_, i) => i !== at) : [...args], command: [] };
}

// Splits a command line with yargs into options with their values, and operands. The parser is not imported from
// `yargs`, which makes another one when it is loaded: 5 ms.

export type OptionsByName = ReadonlyMap<string, Declared>;

const mapOf = (...options: readonly Options[]): OptionsByName =>
  new Map(options.flatMap((each) => Object.entries(each)));

/** The values of an option: several if it was given several times. */
export type Given = string | boolean | string[];

export interface Words {
  /** By the option's name. */
  given: Map<string, Given>;
  /** Operands and undeclared options, in order. */
  words: string[];
}

/** Says that an option has no value; `typed` is the option as the user wrote it. */
export class MissingValue extends Error {
  constructor(
    readonly option: string,
    readonly typed: string,
  ) {
    super(`${typed} has no value`);
  }
}

/** All arguments are text, there is no --no-OPTION, and an undeclared option is a word. */
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

export const takesValue = ({ isFlag }: Declared): boolean => !isFlag;
/** Whether a word is written like an option. */
export const looksLikeOption = (word: string): boolean => word.startsWith('-') && word !== '-';

/** Splits arguments. Throws MissingValue, unless values may be missing. */
export function takeApart(
  args: readonly string[],
  options: OptionsByName,
  values: 'needed' | 'may be missing' = 'needed',
): Words {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const declared = [...options].map(([name, option]) => {
    const needed = takesValue(option) && !option.valueIsOptional && values === 'needed';
    return [
      name,
      {
        type: takesValue(option) ? ('string' as const) : ('boolean' as const),
        ...(option.short !== undefined && { alias: option.short }),
        ...(needed && { nargs: 1 }),
      },
    ] as const;
  });
  let missing: MissingValue | undefined;
  // Given a directory, yargs does not ask for the working directory.
  const {
    _,
    $0: _script,
    ...found
  } = yargs([...own], __dirname)
    .locale('en')
    .help(false)
    .version(false)
    .exitProcess(false)
    .parserConfiguration(CONFIGURATION)
    .options(Object.fromEntries(declared))
    .fail((message) => (missing ??= missingValue(message, options)))
    .parseSync();
  if (missing) throw missing;
  const given = new Map(
    Object.entries(found).filter(([name, value]) => options.has(name) && value !== undefined) as [string, Given][],
  );
  // yargs takes `--no-X` for an option of its own if there is an X.
  const undeclared = Object.keys(found).filter((name) => !options.has(name));
  return {
    given,
    words: [...undeclared.map((name) => `--${name}`), ..._.map(String), ...(end < 0 ? [] : args.slice(end + 1))],
  };
}

/** Parses "Not enough arguments following: w", the only complaint that yargs has with these declarations. */
function missingValue(message: string, options: OptionsByName): MissingValue {
  const typed = /: (\S+)$/.exec(message)?.[1] ?? '';
  const name = options.has(typed) ? typed : ([...options].find(([, { short }]) => short === typed)?.[0] ?? typed);
  return new MissingValue(name, typed.length === 1 ? `-${typed}` : `--${typed}`);
}

/** Index of the first operand; -1 if there is none. */
export function firstWordAt(args: readonly string[], options: OptionsByName): number {
  for (let at = 0; at < args.length && args[at] !== '--'; at++) {
    if (looksLikeOption(args[at] as string)) continue;
    const { words } = takeApart(args.slice(0, at + 1), options, 'may be missing');
    if (words.some((word) => !looksLikeOption(word))) return at;
  }
  return -1;
}

export type Arguments = Record<string, unknown>;

/** What a command line asks for. */
export type Request =
  | { kind: 'run'; command: Command; args: Arguments }
  /** Null: help for all commands. */
  | { kind: 'help'; command: Command | null }
  | { kind: 'version' };

/** Index of the command's name: the first word that is neither an option nor its value. -1 if there is none. */
function commandAt(commands: readonly Command[], args: readonly string[]): number {
  if (!looksLikeOption(args[0] as string)) return 0;
  return firstWordAt(args, mapOf(GLOBAL_OPTIONS, ...commands.map(({ options }) => options)));
}

export function unknownCommand(commands: readonly Command[], name: string): VnetError {
  return usageError(
    name === '' ? '""' : name,
    'is not a command',
    didYouMean(
      name,
      commands.map((command) => command.name),
      'vnet-bpf --help shows the commands',
    ),
  );
}

/** Parses the words after `vnet-bpf`. Throws a USAGE error. */
export function parseCommandLine(commands: readonly Command[], args: readonly string[]): Request {
  if (args.length === 0) return { kind: 'help', command: null };
  const at = commandAt(commands, args);
  if (at < 0) return withoutCommand(commands, args);
  const name = args[at] as string;
  const command = commandNamed(commands, name);
  if (!command) throw unknownCommand(commands, name);
  return parseFor(
    commands,
    command,
    args.filter((_, i) => i !== at),
  );
}

function withoutCommand(commands: readonly Command[], args: readonly string[]): Request {
  const options = mapOf(GLOBAL_OPTIONS);
  const { given, words } = read('vnet-bpf', options, args);
  if (given.has('help')) return { kind: 'help', command: null };
  if (given.has('version')) return { kind: 'version' };
  const [unknown] = words;
  if (unknown !== undefined && commandNamed(commands, unknown))
    throw usageError('vnet-bpf', `"${unknown}" is behind --, where no command is`, `vnet-bpf ${unknown}`);
  if (unknown !== undefined) throw unknownOption('vnet-bpf', options, unknown);
  throw usageError('vnet-bpf', 'which command?', 'vnet-bpf --help shows the commands');
}

function parseFor(commands: readonly Command[], command: Command, args: readonly string[]): Request {
  const { name, takesUnknown } = command;
  const options = mapOf(command.options, GLOBAL_OPTIONS);
  const { given, words } = readOrHelp(name, options, args);
  if (given.has('help')) return { kind: 'help', command };
  if (given.has('version')) return { kind: 'version' };
  requireDashes(command, args, options);
  const end = args.indexOf('--');
  const unknown = words.slice(0, end < 0 ? undefined : words.length - (args.length - end - 1)).find(looksLikeOption);
  if (unknown !== undefined && !takesUnknown) throw unknownOption(name, options, unknown);
  const parsed: Arguments = {};
  for (const [option, declared] of options) {
    const value = valueOf(commands, option, declared, given.get(option));
    if (value === undefined && declared.required)
      throw usageError(
        name,
        `--${option} is missing`,
        `${command.examples?.[0]?.command ?? `vnet-bpf ${name}`}; vnet-bpf ${name} --help shows the options`,
      );
    parsed[camelCase(option)] = value;
  }
  return { kind: 'run', command, args: { ...parsed, ...operandValues(command, words) } };
}

/**
 * Throws if the command to run is not after `--`: its options could not be distinguished from ours. A word behind an
 * unknown option is rather its value.
 */
function requireDashes({ name, runsAnother }: Command, args: readonly string[], options: OptionsByName): void {
  const at = runsAnother ? firstWordAt(args, options) : -1;
  if (at < 0) return;
  const unknown = takeApart(args.slice(0, at), options, 'may be missing').words.find(looksLikeOption);
  if (unknown !== undefined) throw unknownOption(name, options, unknown);
  const typed = [...args.slice(0, at), '--', ...args.slice(at)].map(shellWord).join(' ');
  throw usageError(name, 'its command comes behind --', `vnet-bpf ${name} ${typed}`);
}

/** Gives each operand its word. */
function operandValues(command: Command, words: readonly string[]): Arguments {
  const left = [...words];
  const values: Arguments = {};
  for (const operand of command.operands) {
    const { name, choices, required, takesRest } = operand;
    const taken = left.splice(0, takesRest ? left.length : 1);
    if (taken.length === 0 && required) throw missing(command, operand);
    for (const word of taken)
      if (choices) oneOf(word, choices, { what: `${name} "${word}"`, example: (value) => `such as ${value}` });
    values[camelCase(name)] = takesRest ? (taken.length > 0 ? taken : undefined) : taken[0];
  }
  const [surplus] = left;
  if (surplus !== undefined)
    throw usageError(
      command.name,
      `"${surplus}" is one word too many`,
      `usage: vnet-bpf ${usageOf(command)}${'all' in command.options ? ', once for each, or --all' : ''}`,
    );
  return values;
}

function missing(command: Command, { name, choices }: Operand): VnetError {
  const what = choices ? ` (${choices.join(', ')})` : '';
  return usageError(
    command.name,
    `<${name}> is missing${what}`,
    `usage: vnet-bpf ${usageOf(command)}; vnet-bpf ${command.name} --help says more`,
  );
}

/** The declaration of an option as it is typed: `--follow` or `-f`. */
const declaredAs = (typed: string, options: OptionsByName): Declared | undefined =>
  typed.startsWith('--')
    ? options.get(typed.slice(2))
    : [...options.values()].find(({ short }) => short !== undefined && typed === `-${short}`);

/** Splits arguments. Throws usage errors for missing values, and for values where none belongs. */
function read(command: string, options: OptionsByName, args: readonly string[]): Words {
  const own = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined);
  own.forEach((arg, at) => {
    const [, typed = arg, value = own[at + 1]] = /^(--[^=]+|-[^-=])=(.*)$/s.exec(arg) ?? [];
    const declared = declaredAs(typed, options);
    if (declared && !takesValue(declared) && typed !== arg && value !== 'true' && value !== 'false')
      throw usageError(`${typed}="${value}"`, 'takes no value', `give ${typed} alone, or leave it out`);
    if (declared?.valueIsOptional && value === '')
      throw usageError(`${typed} ""`, 'is an empty value', `give ${typed} a value, or leave the value out`);
  });
  try {
    return takeApart(args, options);
  } catch (error) {
    if (!(error instanceof MissingValue)) throw error;
    const { option, typed } = error;
    const {
      choices,
      value = option.toUpperCase(),
      describe = `vnet-bpf ${command} --help`,
      otherwise,
    } = options.get(option) ?? {};
    throw usageError(
      typed,
      'takes a value, and there is none',
      `${typed} ${choices?.join('|') ?? value}: ${describe}${otherwise === undefined ? '' : ` [${otherwise}]`}`,
    );
  }
}

/** read(), but a request for help is answered even if the rest is wrong. */
function readOrHelp(command: string, options: OptionsByName, args: readonly string[]): Words {
  try {
    return read(command, options, args);
  } catch (error) {
    const asked = takeApart(args, options, 'may be missing');
    if (asked.given.has('help') || asked.given.has('version')) return asked;
    throw error;
  }
}

/** The options that may be given several times: `--addr`. */
function repeatable(commands: readonly Command[]): string {
  const names = commands.flatMap(({ options }) =>
    Object.entries(options).flatMap(([name, declared]) => (declared.repeatable ? [`--${name}`] : [])),
  );
  return [...new Set(names)].join(', ');
}

function valueOf(commands: readonly Command[], option: string, declared: Declared, given: Given | undefined): unknown {
  if (given === undefined) return declared.isFlag ? false : declared.default;
  if (declared.repeatable) return Array.isArray(given) ? given : [given];
  if (Array.isArray(given))
    throw usageError(
      `--${option}`,
      'is given twice',
      `give it once; of the options only ${repeatable(commands)} may be repeated`,
    );
  if (declared.choices && typeof given === 'string') oneOf(given, declared.choices, onCommandLine(option, given));
  return given;
}

function unknownOption(command: string, options: OptionsByName, word: string): VnetError {
  const shown = word.startsWith('--') ? (word.split('=')[0] as string) : word;
  const [of, help] = command === 'vnet-bpf' ? ['', ''] : [` of ${command}`, `${command} `];
  const known = word.startsWith('--') ? options.keys() : [];
  const negated = options.get(/^--no-(.*)/.exec(shown)?.[1] ?? '');
  if (negated) {
    const name = shown.slice('--no-'.length);
    const instead = negated.choices?.includes('off') ? `--${name} off` : `leave --${name} out`;
    throw usageError(shown, `is not an option${of}`, instead);
  }
  return usageError(
    shown,
    `is not an option${of}`,
    didYouMean(shown.slice(2), known, `vnet-bpf ${help}--help shows the options`, (option) => `--${option}`),
  );
}
