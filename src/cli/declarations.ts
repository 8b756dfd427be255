// SPDX-License-Identifier: MIT
/** What commands.ts declares, as data: for the manual, for completion and for the tests of the documents. */
import type { Argv } from 'yargs';

import { makeParser } from './commands';

export interface Declared {
  describe: string;
  type?: 'string' | 'boolean';
  choices?: readonly string[];
  default?: unknown;
  demandOption?: boolean;
  array?: boolean;
  alias?: string;
}

export interface Command {
  name: string;
  /** As users type it, with its operands: `detach [iface]`. */
  usage: string;
  describe: string;
  positionals: Map<string, Declared>;
  options: Map<string, Declared>;
  examples: { command: string; describe: string }[];
}

/** Every command takes these; yargs itself declares the last two. */
export const GLOBAL_OPTIONS: ReadonlyMap<string, Declared> = new Map<string, Declared>([
  ['debug', { type: 'boolean', default: false, describe: 'show stack traces and verifier logs' }],
  ['help', { type: 'boolean', describe: 'show help' }],
  ['version', { type: 'boolean', describe: 'show the version' }],
]);

/** Takes down what a command's builder tells yargs. */
class Recorder {
  constructor(private readonly command: Command) {}

  /** Where yargs cannot know all operands: `$0 run [options] -- COMMAND`. */
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

  options(declared: Record<string, Declared>): this {
    for (const [name, each] of Object.entries(declared)) this.option(name, each);
    return this;
  }

  /** Not for readers. */
  parserConfiguration(): this {
    return this;
  }

  example(command: string, describe: string): this {
    this.command.examples.push({ command: command.replace('$0', 'vnet-bpf'), describe });
    return this;
  }
}

/** What yargs keeps of each command. It has no public way to ask for that; its version is pinned. */
interface YargsInternals {
  getInternalMethods(): {
    getCommandInstance(): { getCommandHandlers(): Record<string, { original: string; description: string; builder: (y: Argv) => Argv }> };
  };
}

export function declaredCommands(): Command[] {
  const handlers = (makeParser() as unknown as YargsInternals).getInternalMethods().getCommandInstance().getCommandHandlers();
  return Object.entries(handlers).map(([name, { original, description, builder }]) => {
    const command: Command = { name, usage: original.replace('..', '...'), describe: description, positionals: new Map(), options: new Map(), examples: [] };
    builder(new Recorder(command) as unknown as Argv);
    return command;
  });
}

/** The default as descriptions tell it, `[8M]`; null if they name none. */
export const defaultOf = ({ describe, type, default: value }: Declared): string | null =>
  / \[([^\]]+)\]$/.exec(describe)?.[1] ?? (type !== 'boolean' && typeof value === 'string' ? value : null);

/** The description without the default. */
export const wordsOf = ({ describe }: Declared): string => describe.replace(/ \[[^\]]+\]$/, '');
