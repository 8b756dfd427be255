// SPDX-License-Identifier: MIT
/**
 * Reads a command line by what the commands declare (command-table.ts). yargs takes the words apart (words.ts); what they
 * may be, and what is said of a wrong one, is decided here.
 */
import { usageError, type VnetError } from '../errors';
import { camelCase, oneOf, onCommandLine } from '../options/place';
import { shellWord } from '../state/named';
import { didYouMean } from '../suggest';
import type { Command, CommandTable, Declared, Operand } from './command-table';
import { GLOBAL_OPTIONS } from './option-kinds';
import { firstWordAt, looksLikeOption, MissingValue, takeApart, takesValue, type Given, type Options, type Words } from './words';

export type Arguments = Record<string, unknown>;

/** What a command line asks for. */
export type Request =
  | { kind: 'run'; command: Command; args: Arguments }
  /** Null: of all commands. */
  | { kind: 'help'; command: Command | null }
  | { kind: 'version' };

/** Where the command's name is: the first word that is neither an option nor the value of one. -1 if there is none. */
function commandAt(table: CommandTable, args: readonly string[]): number {
  if (!looksLikeOption(args[0] as string)) return 0;
  return firstWordAt(args, new Map([...GLOBAL_OPTIONS, ...table.all().flatMap(({ options }) => [...options])]));
}

export function unknownCommand(name: string, table: CommandTable): VnetError {
  return usageError(name === '' ? '""' : name, 'is not a command', didYouMean(name, table.names, 'vnet-bpf --help shows the commands'));
}

/** Understands what is typed behind `vnet-bpf`. Throws a USAGE error. */
export function parseCommandLine(table: CommandTable, args: readonly string[]): Request {
  if (args.length === 0) return { kind: 'help', command: null };
  const at = commandAt(table, args);
  if (at < 0) return withoutCommand(args);
  const name = args[at] as string;
  const command = table.find(name);
  if (!command) throw unknownCommand(name, table);
  return parseFor(command, args.filter((_, i) => i !== at));
}

function withoutCommand(args: readonly string[]): Request {
  const { given, words } = read('vnet-bpf', GLOBAL_OPTIONS, args);
  if (given.has('help')) return { kind: 'help', command: null };
  if (given.has('version')) return { kind: 'version' };
  const [unknown] = words;
  if (unknown !== undefined) throw unknownOption('vnet-bpf', GLOBAL_OPTIONS, unknown);
  throw usageError('vnet-bpf', 'which command?', 'vnet-bpf --help shows the commands');
}

function parseFor(command: Command, args: readonly string[]): Request {
  const { name, takesUnknown } = command;
  const options = new Map([...command.options, ...GLOBAL_OPTIONS]);
  const { given, words } = readOrHelp(name, options, args);
  if (given.has('help')) return { kind: 'help', command };
  if (given.has('version')) return { kind: 'version' };
  requireDashes(command, args, options);
  const end = args.indexOf('--');
  const unknown = words.slice(0, end < 0 ? undefined : words.length - (args.length - end - 1)).find(looksLikeOption);
  if (unknown !== undefined && !takesUnknown) throw unknownOption(name, options, unknown);
  const parsed: Arguments = {};
  for (const [option, declared] of options) {
    const value = valueOf(option, declared, given.get(option));
    if (value === undefined && declared.demandOption) throw usageError(name, `--${option} is missing`, `${command.examples[0]?.command ?? `vnet-bpf ${name}`}; vnet-bpf ${name} --help shows the options`);
    parsed[camelCase(option)] = value;
  }
  return { kind: 'run', command, args: { ...parsed, ...operandValues(command, words) } };
}

/** Of `run`, the command stands behind `--`: without, its options could not be told from ours. */
function requireDashes({ name, usage }: Command, args: readonly string[], options: Options): void {
  const at = usage.includes(' -- ') ? firstWordAt(args, options) : -1;
  if (at < 0) return;
  const typed = [...args.slice(0, at), '--', ...args.slice(at)].map(shellWord).join(' ');
  throw usageError(name, 'its command comes behind --', `vnet-bpf ${name} ${typed}`);
}

/** Gives each operand its word. */
function operandValues(command: Command, words: readonly string[]): Arguments {
  const left = [...words];
  const values: Arguments = {};
  for (const operand of command.operands) {
    const declared = command.positionals.get(operand.name);
    const taken = left.splice(0, operand.many ? left.length : 1);
    if (taken.length === 0 && operand.required) throw missing(command, operand, declared);
    for (const word of taken) if (declared?.choices) oneOf(word, declared.choices, { what: `${operand.name} "${word}"`, example: (value) => `such as ${value}` });
    values[camelCase(operand.name)] = operand.many ? (taken.length > 0 ? taken : undefined) : taken[0];
  }
  const [surplus] = left;
  if (surplus !== undefined) throw usageError(command.name, `"${surplus}" is one word too many`, `usage: vnet-bpf ${command.usage}`);
  return values;
}

function missing({ name, usage }: Command, operand: Operand, declared: Declared | undefined): VnetError {
  const what = declared?.choices ? ` (${declared.choices.join(', ')})` : '';
  return usageError(name, `<${operand.name}> is missing${what}`, `usage: vnet-bpf ${usage}; vnet-bpf ${name} --help says more`);
}

/** What is said of values that are missing, or where none belongs. */
function read(command: string, options: Options, args: readonly string[]): Words {
  for (const arg of args.slice(0, args.includes('--') ? args.indexOf('--') : undefined)) {
    const [, name = '', value] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    const declared = options.get(name);
    if (declared && !takesValue(declared) && value !== 'true' && value !== 'false') throw usageError(`--${name}="${value}"`, 'takes no value', `give --${name} alone, or leave it out`);
  }
  try {
    return takeApart(args, options);
  } catch (error) {
    if (!(error instanceof MissingValue)) throw error;
    const { option, typed } = error;
    const declared = options.get(option);
    throw usageError(typed, 'takes a value, and there is none', `${typed} ${declared?.choices?.join('|') ?? declared?.value ?? option.toUpperCase()}: ${declared?.describe ?? `vnet-bpf ${command} --help`}`);
  }
}

/** Somebody who asks for help need not be right in all else. */
function readOrHelp(command: string, options: Options, args: readonly string[]): Words {
  try {
    return read(command, options, args);
  } catch (error) {
    const asked = takeApart(args, options, 'may be missing');
    if (asked.given.has('help') || asked.given.has('version')) return asked;
    throw error;
  }
}

function valueOf(option: string, declared: Declared, given: Given | undefined): unknown {
  if (given === undefined) return declared.default;
  if (declared.array) return Array.isArray(given) ? given : [given];
  if (Array.isArray(given)) throw usageError(`--${option}`, 'is given twice', 'give it once; of the options only --addr may be repeated');
  if (declared.choices && typeof given === 'string') oneOf(given, declared.choices, onCommandLine(option, given));
  return given;
}

function unknownOption(command: string, options: Options, word: string): VnetError {
  const shown = word.startsWith('--') ? (word.split('=')[0] as string) : word;
  const [of, help] = command === 'vnet-bpf' ? ['', ''] : [` of ${command}`, `${command} `];
  const known = word.startsWith('--') ? options.keys() : [];
  return usageError(shown, `is not an option${of}`, didYouMean(shown.slice(2), known, `vnet-bpf ${help}--help shows the options`, (option) => `--${option}`));
}
