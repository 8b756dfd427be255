// SPDX-License-Identifier: MIT
/** `vnet-bpf help [command]`, `--help` and `--version`: text laid out from the declarations of the commands. */
import { isatty } from 'node:tty';

import { programVersion } from '../native/node';
import { coloured, printMade } from '../terminal/output';
import {
  type Call,
  type Command,
  commandNamed,
  type Declared,
  defaultOf,
  GLOBAL_OPTIONS,
  usageOf,
  valueName,
} from './declarations';
import { unknownCommand } from './parse';

const ABOUT = 'A loopback NIC: what an interface transmits comes back as received.';
const WIDTH_MAX = 100;
const WIDTH_MIN = 40;
/** Columns; text beside a longer term begins on the next line. */
const TERM_MAX = 30;

type Entry = readonly [term: string, text: string];

/** Wraps text at that width. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** A heading, and terms with their texts beside them. */
function listed(heading: string, entries: readonly Entry[], width: number): string[] {
  if (entries.length === 0) return [];
  const column = Math.min(TERM_MAX, Math.max(...entries.map(([term]) => term.length)));
  const indent = ' '.repeat(column + 4);
  const lines = entries.flatMap(([term, text]) => {
    const [first = '', ...more] = wrapped(text, Math.max(WIDTH_MIN / 2, width - indent.length));
    const head = term.length > column ? [`  ${term}`, indent + first] : [`  ${term.padEnd(column)}  ${first}`];
    return [...head, ...more.map((line) => indent + line)];
  });
  return ['', heading, ...lines];
}

function optionEntry([name, declared]: readonly [string, Declared]): Entry {
  const { short, required } = declared;
  const value = valueName(name, declared);
  const fallback = defaultOf(declared);
  const notes = [...(fallback === null ? [] : [`default: ${fallback}`]), ...(required ? ['required'] : [])];
  const term = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === '' ? '' : ` ${value}`}`;
  return [term, `${declared.describe}${notes.length === 0 ? '' : ` [${notes.join(', ')}]`}`];
}

function overview(commands: readonly Command[], width: number): string[] {
  return [
    'vnet-bpf <command> [options]',
    '',
    ...wrapped(ABOUT, width),
    ...listed(
      'Commands:',
      commands.map((command) => [usageOf(command), command.describe]),
      width,
    ),
    ...listed('Options of every command:', Object.entries(GLOBAL_OPTIONS).map(optionEntry), width),
    '',
    'vnet-bpf help COMMAND shows what a command takes.',
  ];
}

function helpOf(command: Command, width: number): string[] {
  const { describe, operands, options, examples = [] } = command;
  return [
    `vnet-bpf ${usageOf(command, '[options]')}`,
    '',
    ...wrapped(`${describe[0]?.toUpperCase()}${describe.slice(1)}.`, width),
    ...listed(
      'Operands:',
      operands.map(({ name, describe: text, choices }) => [name, choices ? `${text}: ${choices.join(', ')}` : text]),
      width,
    ),
    ...listed('Options:', Object.entries({ ...options, ...GLOBAL_OPTIONS }).map(optionEntry), width),
    ...listed(
      'Examples:',
      examples.map(({ command: line, describe: text }) => [line, text]),
      width,
    ),
  ];
}

/** Help for one command or for all, `width` columns wide unless terms are wider. */
export const helpText = (command: Command | readonly Command[], width: number): string[] =>
  'name' in command ? helpOf(command, width) : overview(command, width);

/** Width of the terminal in columns, within limits. */
function terminalWidth(): number {
  const { columns } = isatty(1) ? process.stdout : { columns: 0 };
  return Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, columns || WIDTH_MAX));
}

/** Prints help for a command, or for all. */
export function printHelp(command: Command | readonly Command[]): void {
  const lines = helpText(command, terminalWidth());
  printMade(
    lines.map((line, i) => (i === 0 || /^[A-Z][a-z ]+:$/.test(line) ? coloured('bold', line, 1) : line)).join('\n'),
  );
}

export function helpCommand({ command: name }: { command: string | undefined }, { commands }: Call): void {
  if (name === undefined) return printHelp(commands);
  const command = commandNamed(commands, name);
  if (!command) throw unknownCommand(commands, name);
  printHelp(command);
}

export function versionCommand(): void {
  printMade(programVersion());
}
