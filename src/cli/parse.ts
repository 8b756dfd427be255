// SPDX-License-Identifier: MIT
/**
 * Reads a command line by what the commands declare (command-table.ts). Node's parseArgs() takes the words apart; what
 * they may be, and what is said of a wrong one, is decided here.
 */
import { parseArgs } from 'node:util';

import { usageError, type VnetError } from '../errors';
import { oneOf, onCommandLine } from '../options/place';
import { shellWord } from '../state/named';
import { didYouMean } from '../suggest';
import type { Command, CommandTable, Declared, Operand } from './command-table';
import { GLOBAL_OPTIONS } from './option-kinds';

export type Arguments = Record<string, unknown>;

/** What a command line asks for. */
export type Request =
  | { kind: 'run'; command: Command; args: Arguments }
  /** Null: of all commands. */
  | { kind: 'help'; command: Command | null }
  | { kind: 'version' };

type Options = ReadonlyMap<string, Declared>;

interface OptionToken {
  kind: 'option';
  index: number;
  name: string;
  rawName: string;
  value: string | undefined;
  inlineValue: boolean | undefined;
}

type Token = OptionToken | { kind: 'positional'; index: number; value: string } | { kind: 'option-terminator'; index: number };

const takesValue = ({ type }: Declared): boolean => type !== 'boolean';
const camelCase = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function tokensOf(args: readonly string[], options: Options): Token[] {
  const config = [...options].map(([name, { alias, ...declared }]) => {
    const type = takesValue(declared) && declared.requiresArg ? ('string' as const) : ('boolean' as const);
    return [name, { type, multiple: true, ...(alias !== undefined && { short: alias }) }] as const;
  });
  return parseArgs({ args: [...args], options: Object.fromEntries(config), strict: false, allowPositionals: true, tokens: true }).tokens as Token[];
}

/** Where the command's name is: the first word that is neither an option nor the value of one. -1 if there is none. */
function commandAt(table: CommandTable, args: readonly string[]): number {
  const first = args.findIndex((arg) => !arg.startsWith('-') || arg === '-');
  if (first <= 0) return first;
  const all = new Map([...GLOBAL_OPTIONS, ...table.all().flatMap(({ options }) => [...options])]);
  return tokensOf(args, all).find(({ kind }) => kind === 'positional')?.index ?? -1;
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
  const reader = new Reader('vnet-bpf', GLOBAL_OPTIONS, args, false);
  reader.read();
  if (reader.found.has('help')) return { kind: 'help', command: null };
  if (reader.found.has('version')) return { kind: 'version' };
  throw usageError('vnet-bpf', 'which command?', 'vnet-bpf --help shows the commands');
}

function parseFor(command: Command, args: readonly string[]): Request {
  const { name, takesUnknown } = command;
  const options = new Map([...command.options, ...GLOBAL_OPTIONS]);
  const reader = new Reader(name, options, args, takesUnknown);
  // Somebody who asks for help need not be right in all else.
  if (reader.asksFor('help')) return { kind: 'help', command };
  if (reader.asksFor('version')) return { kind: 'version' };
  requireDashes(command, args, reader.firstWord);
  reader.read();
  const parsed: Arguments = {};
  for (const [option, declared] of options) {
    const value = reader.found.get(option) ?? declared.default;
    if (value === undefined && declared.demandOption) throw usageError(name, `--${option} is missing`, `${command.examples[0]?.command ?? `vnet-bpf ${name}`}; vnet-bpf ${name} --help shows the options`);
    parsed[camelCase(option)] = value;
  }
  return { kind: 'run', command, args: { ...parsed, ...operandValues(command, reader.words) } };
}

/** Of `run`, the command stands behind `--`: without, its options could not be told from ours. */
function requireDashes({ name, usage }: Command, args: readonly string[], at: number): void {
  if (!usage.includes(' -- ') || at < 0) return;
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

function checkChoice(option: string, value: string, { choices }: Declared): void {
  if (choices) oneOf(value, choices, onCommandLine(option, value));
}

class Reader {
  readonly found = new Map<string, string | boolean | string[]>();
  readonly words: string[] = [];
  private readonly tokens: readonly Token[];

  constructor(
    private readonly command: string,
    private readonly options: Options,
    private readonly args: readonly string[],
    private readonly takesUnknown: boolean,
  ) {
    this.tokens = tokensOf(args, options);
  }

  /** Where the first operand is; -1 if there is none. */
  get firstWord(): number {
    return this.tokens.find(({ kind }) => kind === 'positional')?.index ?? -1;
  }

  asksFor(flag: string): boolean {
    return this.tokens.some((token, i) => token.kind === 'option' && token.name === flag && !this.isUnknownBefore(i));
  }

  /** Of `-5h`, the h is no option if the 5 is none. */
  private isUnknownBefore(i: number): boolean {
    const { index } = this.tokens[i] as Token;
    return this.tokens.slice(0, i).some((token) => token.index === index && token.kind === 'option' && !this.options.has(token.name));
  }

  read(): void {
    for (let i = 0; i < this.tokens.length; i++) {
      const token = this.tokens[i] as Token;
      if (token.kind === 'positional') this.words.push(token.value);
      if (token.kind !== 'option') continue;
      const declared = this.options.get(token.name);
      if (declared) i += this.readOption(token, declared, this.tokens[i + 1]);
      else {
        if (!this.takesUnknown) throw this.unknownOption(token);
        this.words.push(this.args[token.index] as string);
        while (this.tokens[i + 1]?.index === token.index) i++;
      }
    }
  }

  /** Returns how many of the tokens that follow belong to it. */
  private readOption(token: OptionToken, declared: Declared, next: Token | undefined): 0 | 1 {
    const { name, rawName } = token;
    if (takesValue(declared) && declared.requiresArg) {
      this.put(name, declared, this.valueOf(token, declared));
      return 0;
    }
    const following = next?.kind === 'positional' && next.index === token.index + 1 && token.value === undefined ? next.value : undefined;
    if (takesValue(declared)) {
      this.put(name, declared, token.value ?? following ?? '');
      return following === undefined ? 0 : 1;
    }
    const isSaid = following === 'true' || following === 'false';
    const said = token.value ?? (isSaid ? following : 'true');
    if (said !== 'true' && said !== 'false') throw usageError(`${rawName}="${said}"`, 'takes no value', `give ${rawName} alone, or leave it out`);
    this.put(name, declared, said === 'true');
    return isSaid && token.value === undefined ? 1 : 0;
  }

  private valueOf({ name, rawName, value, inlineValue }: OptionToken, declared: Declared): string {
    // `--netns --json` has forgotten the name; `--queue-packets -1` has a wrong number.
    const isOption = !inlineValue && value !== undefined && /^-(-|[a-z])/i.test(value) && this.isKnown(value);
    if (value === undefined || isOption) throw usageError(rawName, 'takes a value, and there is none', `${rawName} ${declared.choices?.join('|') ?? declared.value ?? name.toUpperCase()}: ${declared.describe}`);
    const text = inlineValue && !rawName.startsWith('--') ? value.replace(/^=/, '') : value;
    checkChoice(name, text, declared);
    return text;
  }

  private isKnown(word: string): boolean {
    const [name = ''] = word.replace(/^-+/, '').split('=');
    if (word.startsWith('--')) return this.options.has(name);
    return [...this.options.values()].some(({ alias }) => alias === name[0]);
  }

  private put(name: string, declared: Declared, value: string | boolean): void {
    const before = this.found.get(name);
    if (declared.array) this.found.set(name, [...((before as string[] | undefined) ?? []), value as string]);
    else if (before === undefined || typeof value === 'boolean') this.found.set(name, value);
    else throw usageError(`--${name}`, 'is given twice', 'give it once; of the options only --addr may be repeated');
  }

  private unknownOption({ rawName, name, index }: OptionToken): VnetError {
    const shown = rawName.startsWith('--') ? rawName : (this.args[index] as string);
    const of = this.command === 'vnet-bpf' ? '' : ` of ${this.command}`;
    const known = rawName.startsWith('--') ? this.options.keys() : [];
    return usageError(shown, `is not an option${of}`, didYouMean(name, known, `vnet-bpf ${this.command === 'vnet-bpf' ? '' : `${this.command} `}--help shows the options`, (option) => `--${option}`));
  }
}
