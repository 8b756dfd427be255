// SPDX-License-Identifier: MIT
/**
 * Commands as data: their names, their arguments and what they do. The parser, help, the manual, completion and the
 * bundles are derived from it.
 */

/** Kinds of words for which completion offers those that exist. */
export type Offered = 'interfaces' | 'namespaces' | 'files' | 'commands' | 'wires';

export interface Declared {
  describe: string;
  /** Takes no value; false by default. */
  isFlag?: true;
  choices?: readonly string[];
  /** The value that the command gets if the option is not given. */
  default?: string;
  /** The default that help shows if the command itself supplies it. */
  otherwise?: string;
  required?: true;
  /** The value may be left out. */
  valueIsOptional?: true;
  /** May be given several times. */
  repeatable?: true;
  /** The letter of its short form. */
  short?: string;
  /** The name of its value in help; defaults to the option's name in capitals. */
  value?: string;
  offers?: Offered;
}

export type Options = Readonly<Record<string, Declared>>;

export interface Operand {
  name: string;
  describe: string;
  choices?: readonly string[];
  required?: true;
  /** Takes all remaining words. */
  takesRest?: true;
  offers?: Offered;
}

/** What a command receives besides its arguments. */
export interface Call {
  /** The words after `--`: the command to run, and its arguments. */
  words: readonly string[];
  commands: readonly Command[];
}

/** Runs a command. Its arguments are named in camel case. */
export type Run = (args: never, call: Call) => Promise<void> | void;

/** A bundle with some of the commands, which starts faster than the one with all of them (src/setup/bundle.ts). */
export interface QuickBundle {
  name: string;
  /** The functions that get bytecode: all of them, or those that the trials of its commands call. */
  bytecode: 'all' | 'called';
}

export interface Command {
  name: string;
  describe: string;
  operands: readonly Operand[];
  options: Options;
  examples?: readonly { command: string; describe: string }[];
  /** Runs another command, which is given after `--`. */
  runsAnother?: true;
  /** Takes unknown options as words. */
  takesUnknown?: true;
  /** Any user may run it. */
  withoutRoot?: true;
  /**
   * `trial`: arguments with which the build runs the command, so that its functions get bytecode. They must not change
   * anything.
   */
  quick?: { bundle: QuickBundle; trial: readonly string[] };
  /** Loads the command's module, so that other commands need not wait for it. */
  load: () => Run;
}

/** The command of that name; null if there is none. */
export const commandNamed = (commands: readonly Command[], name: string): Command | null =>
  commands.find((command) => command.name === name) ?? null;

/** What users type, operands included: `attach <iface...>`, `detach [iface]`. */
export function usageOf({ name, operands, runsAnother }: Command, ...options: readonly string[]): string {
  const words = operands.map(({ name: operand, required, takesRest }) => {
    const shown = `${operand}${takesRest ? '...' : ''}`;
    return required ? `<${shown}>` : `[${shown}]`;
  });
  return [name, ...words, ...options, ...(runsAnother ? ['-- COMMAND [ARGS...]'] : [])].join(' ');
}

/** Shells that `completion` prints a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

// Options that several commands have, and the usual kinds of options.

/** An option with a value, which help calls `value`. */
export const text = (describe: string, value?: string): Declared => ({
  describe,
  ...(value !== undefined && { value }),
});
export const flag = (describe: string): Declared => ({ describe, isFlag: true });

/** The interface that a command is about. */
export const iface: Operand = { name: 'iface', describe: 'the interface', offers: 'interfaces' };
export const requiredIface: Operand = { ...iface, required: true };
export const netnsOption: Declared = { ...text('network namespace of the interface', 'NAME'), offers: 'namespaces' };
/** For commands that read frames. */
export const filterOption = text(
  'only frames that match, in tcpdump\'s syntax: "tcp port 80 and not arp"',
  'EXPRESSION',
);
export const jsonOption = flag('print one JSON document');
/** Options of every command. */
export const GLOBAL_OPTIONS: Options = {
  debug: flag('show stack traces and verifier logs'),
  help: { ...flag('show help'), short: 'h' },
  version: { ...flag('show the version'), short: 'V' },
};

/** The default that help shows; null if there is none. */
export const defaultOf = ({ otherwise, default: value }: Declared): string | null => otherwise ?? value ?? null;

/** The placeholder for an option's value: `NAME`, `veth|dummy`, `[SECONDS]` if it may be left out; '' for a flag. */
export function valueName(name: string, { isFlag, choices, valueIsOptional, value }: Declared): string {
  if (choices) return choices.join('|');
  if (isFlag) return '';
  const shown = value ?? name.toUpperCase();
  return valueIsOptional ? `[${shown}]` : shown;
}
