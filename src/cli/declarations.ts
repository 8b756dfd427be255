// SPDX-License-Identifier: MIT
/**
 * Commands as data: their names, what they take and what they do. The parser, help, the manual and completion read it.
 */

export interface Declared {
  describe: string;
  /** `string` unless there are choices. */
  type?: 'string' | 'boolean';
  choices?: readonly string[];
  default?: unknown;
  demandOption?: boolean;
  /** Whether a value must follow; without this the option may stand alone. */
  requiresArg?: boolean;
  array?: boolean;
  alias?: string;
  /** The name of its value in help; defaults to the option's name in capitals. */
  value?: string;
}

/** Runs a command with its arguments, named in camel case, and with the words behind `--`. */
type Run = (args: never, command: readonly string[]) => Promise<void> | void;

export interface Operand {
  name: string;
  required: boolean;
  /** Takes all remaining words. */
  many: boolean;
}

export interface Command {
  name: string;
  operands: Operand[];
  /** What users type, operands included: `detach [iface]`. */
  usage: string;
  describe: string;
  positionals: Map<string, Declared>;
  options: Map<string, Declared>;
  examples: { command: string; describe: string }[];
  /** Whether an unknown option is a word like any other. */
  takesUnknown: boolean;
  /** Loads the command's module, for which other commands need not wait. */
  load: () => Run;
}

/** Builds the declaration of a command. */
export interface Argv {
  /** Sets the usage where the operands are not enough: `$0 run [options] -- COMMAND`. */
  usage(text: string): this;
  positional(name: string, declared: Declared): this;
  option(name: string, declared: Declared): this;
  options(declared: Readonly<Record<string, Declared>>): this;
  /** Makes unknown options operands. */
  unknownOptionsAreWords(): this;
  example(command: string, describe: string): this;
}

class Declaration implements Argv {
  constructor(private readonly command: Command) {}

  usage(text: string): this {
    this.command.usage = (text.split('\n')[0] as string).replace('$0 ', '').replace('[options] ', '');
    return this;
  }

  positional(name: string, declared: Declared): this {
    this.command.positionals.set(name, declared);
    return this;
  }

  option(name: string, declared: Declared): this {
    this.command.options.set(name, declared);
    return this;
  }

  options(declared: Readonly<Record<string, Declared>>): this {
    for (const [name, each] of Object.entries(declared)) this.option(name, each);
    return this;
  }

  unknownOptionsAreWords(): this {
    this.command.takesUnknown = true;
    return this;
  }

  example(command: string, describe: string): this {
    this.command.examples.push({ command: command.replace('$0', 'vnet-bpf'), describe });
    return this;
  }
}

/** The operands in a usage such as `hook [iface] [file]` or `attach <iface..>`, in order. */
const operandsOf = (usage: string): Operand[] =>
  [...usage.matchAll(/([<[])([\w-]+)(\.\.)?[>\]]/g)].map(([, bracket, name, many]) => ({ name: name as string, required: bracket === '<', many: many !== undefined }));

interface Row {
  usage: string;
  describe: string;
  declare: (y: Argv) => Argv;
  load: () => Run;
}

export class CommandTable {
  private readonly rows = new Map<string, Row>();

  /** Adds a command: its name and operands, a description, what it takes, and its module. */
  command(usage: string, describe: string, declare: (y: Argv) => Argv, load: () => Run): this {
    const [name = ''] = usage.split(' ');
    this.rows.set(name, { usage, describe, declare, load });
    return this;
  }

  get names(): string[] {
    return [...this.rows.keys()];
  }

  /** A command with everything that it takes; null if no command has that name. */
  find(name: string): Command | null {
    const row = this.rows.get(name);
    if (!row) return null;
    const { usage, describe, declare, load } = row;
    const command: Command = { name, operands: operandsOf(usage), usage: usage.replaceAll('..', '...'), describe, positionals: new Map(), options: new Map(), examples: [], takesUnknown: false, load };
    declare(new Declaration(command));
    return command;
  }

  all(): Command[] {
    return this.names.map((name) => this.find(name) as Command);
  }
}

// Options that several commands have, and the usual kinds of options.

/** An option with a value, which help calls `value`. */
export const text = (describe: string, value?: string) => ({ type: 'string', requiresArg: true, describe, ...(value !== undefined && { value }) }) as const;
/** An option without a value. */
export const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const;

export const netnsOption = text('network namespace of the interface', 'NAME');
/** For commands that read frames. */
export const filterOption = text('only frames that match, in tcpdump\'s syntax: "tcp port 80 and not arp"', 'EXPRESSION');
export const jsonOption = flag('print one JSON document');
/** Options of every command. */
export const GLOBAL_OPTIONS: ReadonlyMap<string, Declared> = new Map<string, Declared>([
  ['debug', flag('show stack traces and verifier logs')],
  ['help', { type: 'boolean', alias: 'h', describe: 'show help' }],
  ['version', { type: 'boolean', alias: 'V', describe: 'show the version' }],
]);

/** The default as descriptions state it, `[8M]`; null if there is none. */
export const defaultOf = ({ describe, type, default: value }: Declared): string | null =>
  / \[([^\]]+)\]$/.exec(describe)?.[1] ?? (type !== 'boolean' && typeof value === 'string' ? value : null);

/** The description without the default. */
export const wordsOf = ({ describe }: Declared): string => describe.replace(/ \[[^\]]+\]$/, '');

/** The placeholder for an option's value: `NAME`, `veth|dummy`, `[SECONDS]` if it may be left out; '' for a flag. */
export function valueName(name: string, { type, choices, requiresArg, value }: Declared): string {
  if (choices) return choices.join('|');
  if (type === 'boolean') return '';
  const shown = value ?? name.toUpperCase();
  return requiresArg ? shown : `[${shown}]`;
}
