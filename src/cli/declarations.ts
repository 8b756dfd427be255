// SPDX-License-Identifier: MIT
/** Commands as data: what they are called, take and do. The parser, help, the manual and completion read it. */

export interface Declared {
  describe: string;
  /** `string` unless there are choices. */
  type?: 'string' | 'boolean';
  choices?: readonly string[];
  default?: unknown;
  demandOption?: boolean;
  /** Whether a value has to follow; an option without may stand alone. */
  requiresArg?: boolean;
  array?: boolean;
  alias?: string;
  /** What help calls its value; the option's name in capitals unless given. */
  value?: string;
}

/** Runs a command with its arguments, by their names in camel case, and with what stands behind `--`. */
type Run = (args: never, command: readonly string[]) => Promise<void> | void;

export interface Operand {
  name: string;
  required: boolean;
  /** Takes all words that are left. */
  many: boolean;
}

export interface Command {
  name: string;
  operands: Operand[];
  /** As users type it, with its operands: `detach [iface]`. */
  usage: string;
  describe: string;
  positionals: Map<string, Declared>;
  options: Map<string, Declared>;
  examples: { command: string; describe: string }[];
  /** Whether an option that it does not know is a word like any other. */
  takesUnknown: boolean;
  /** Loads its module, which takes time that the other commands need not pay. */
  load: () => Run;
}

/** What a command's declaration is written with. */
export interface Argv {
  /** Where the operands do not say all: `$0 run [options] -- COMMAND`. */
  usage(text: string): this;
  positional(name: string, declared: Declared): this;
  option(name: string, declared: Declared): this;
  options(declared: Readonly<Record<string, Declared>>): this;
  /** An option that it does not know is an operand. */
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

/** `hook [iface] [file]`, `attach <iface..>`: what the command takes, in its order. */
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

  /** Adds a command: its name and operands, what it does, what it takes, and where it is. */
  command(usage: string, describe: string, declare: (y: Argv) => Argv, load: () => Run): this {
    const [name = ''] = usage.split(' ');
    this.rows.set(name, { usage, describe, declare, load });
    return this;
  }

  get names(): string[] {
    return [...this.rows.keys()];
  }

  /** A command with all that it takes; null for a name that is none's. */
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

// Options that several commands have, and the kinds that most are of.

/** Takes a value, which help calls so. */
export const text = (describe: string, value?: string) => ({ type: 'string', requiresArg: true, describe, ...(value !== undefined && { value }) }) as const;
/** Is given or not. */
export const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const;

export const netnsOption = text('network namespace of the interface', 'NAME');
/** Of commands that look at frames. */
export const filterOption = text('only frames that match, in tcpdump\'s syntax: "tcp port 80 and not arp"', 'EXPRESSION');
export const jsonOption = flag('print one JSON document');
/** Every command takes these. */
export const GLOBAL_OPTIONS: ReadonlyMap<string, Declared> = new Map<string, Declared>([
  ['debug', flag('show stack traces and verifier logs')],
  ['help', { type: 'boolean', alias: 'h', describe: 'show help' }],
  ['version', { type: 'boolean', alias: 'V', describe: 'show the version' }],
]);

/** The default as descriptions tell it, `[8M]`; null if they name none. */
export const defaultOf = ({ describe, type, default: value }: Declared): string | null =>
  / \[([^\]]+)\]$/.exec(describe)?.[1] ?? (type !== 'boolean' && typeof value === 'string' ? value : null);

/** The description without the default. */
export const wordsOf = ({ describe }: Declared): string => describe.replace(/ \[[^\]]+\]$/, '');

/** What stands for an option's value: `NAME`, `veth|dummy`, `[SECONDS]` where it may be left out; '' for a flag. */
export function valueName(name: string, { type, choices, requiresArg, value }: Declared): string {
  if (choices) return choices.join('|');
  if (type === 'boolean') return '';
  const shown = value ?? name.toUpperCase();
  return requiresArg ? shown : `[${shown}]`;
}
