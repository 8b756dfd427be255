// SPDX-License-Identifier: MIT
/**
 * `man-page.js docs/cli.md`: prints vnet-bpf(1). Commands and options come from their declarations, exit codes and the
 * environment from the tables in the document.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { COMMANDS } from '../cli/commands';
import { type Command, type Declared, defaultOf, GLOBAL_OPTIONS, usageOf, valueName } from '../cli/declarations';

// The few macros of man(7) that a manual page needs.

/** Text escaped so that roff takes it literally: a dash is a dash, and no line is a request. */
export const plain = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

export const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
export const italic = (text: string): string => `\\fI${plain(text)}\\fR`;

/** Converts text of the documents: `code` becomes bold, [words](file) become words. */
export const fromMarkdown = (text: string): string =>
  text
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? bold(part.slice(1, -1)) : plain(part)))
    .join('');

export const section = (title: string, ...body: string[]): string => [`.SH ${title}`, ...body].join('\n');
export const subsection = (title: string, ...body: string[]): string => [`.SS ${title}`, ...body].join('\n');
/** A term, and below it, indented, its meaning. */
export const entry = (term: string, text: string): string => `.TP\n${term}\n${text}`;
export const paragraph = (text: string): string => `.PP\n${text}`;
export const example = (...lines: string[]): string =>
  ['.PP', '.in +4n', '.nf', ...lines.map(plain), '.fi', '.in'].join('\n');

/** The rows of the first table below a heading of a document, without the table's head. */
export function tableBelow(document: string, heading: string): string[][] {
  const lines = document.split('\n');
  const start = lines.indexOf(heading);
  const first = lines.findIndex((line, i) => i > start && line.startsWith('|'));
  const end = lines.findIndex((line, i) => i > first && !line.startsWith('|'));
  if (start < 0 || first < 0) throw new Error(`no table below ${heading}`);
  return lines.slice(first + 2, end < 0 ? undefined : end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  );
}

function optionTerm(name: string, declared: Declared): string {
  const value = declared.choices
    ? declared.choices.map(bold).join('|')
    : declared.isFlag
      ? ''
      : italic(valueName(name, declared));
  const short = declared.short === undefined ? '' : `${bold(`-${declared.short}`)}, `;
  return `${short}${bold(`--${name}`)}${value === '' ? '' : ` ${value}`}`;
}

function optionEntry([name, declared]: [string, Declared]): string {
  const fallback = defaultOf(declared);
  return entry(
    optionTerm(name, declared),
    `${plain(declared.describe)}${fallback === null ? '' : `; default ${bold(fallback)}`}.`,
  );
}

function commandPart(command: Command): string {
  const [name = '', ...operands] = usageOf(command).split(' ');
  const usage = [bold(name), ...operands.map(italic)].join(' ');
  return subsection(usage, `${plain(command.describe)}.`, ...Object.entries(command.options).map(optionEntry));
}

const synopsisOf = (command: Command): string =>
  `${bold('vnet-bpf')} ${plain(usageOf(command, '[options]')).replace('[options]', `[${italic('options')}]`)}`;

export function manPage(version: string, cli: string): string {
  const withoutRoot = COMMANDS.filter((command) => command.withoutRoot).map(({ name }) => name);
  const last = withoutRoot.pop();
  const examples = COMMANDS.flatMap(({ examples: each = [] }) => each).map(
    ({ command, describe }) => `${paragraph(plain(`${describe}:`))}\n${example(command)}`,
  );
  return [
    '.\\" SPDX-License-Identifier: MIT',
    `.TH VNET\\-BPF 1 "" "vnet\\-bpf ${plain(version)}" "User Commands"`,
    section('NAME', 'vnet\\-bpf \\- a loopback NIC: what an interface transmits comes back as received'),
    section('SYNOPSIS', ...COMMANDS.flatMap((command, i) => [...(i === 0 ? [] : ['.br']), synopsisOf(command)])),
    section(
      'DESCRIPTION',
      plain(
        `Makes virtual Ethernet interfaces whose transmitted frames come back as received ones. A BPF program copies each frame into a ring buffer, a poller hands it back to the kernel; while the ring is full the transmit queue is stopped. An interface is named by its name and its network namespace (--netns); all commands but ${withoutRoot.join(', ')} and ${String(last)} need root; hook --init and extcap --install need none.`,
      ),
    ),
    section('COMMANDS', ...COMMANDS.map(commandPart)),
    section('OPTIONS OF EVERY COMMAND', ...Object.entries(GLOBAL_OPTIONS).map(optionEntry)),
    section(
      'EXIT STATUS',
      ...tableBelow(cli, '## Exit codes and errors').map(([code = '', means = '']) =>
        entry(bold(code), fromMarkdown(means)),
      ),
    ),
    section(
      'ENVIRONMENT',
      ...tableBelow(cli, '## Environment').map(([name = '', means = '']) =>
        entry(fromMarkdown(name), fromMarkdown(means)),
      ),
    ),
    section(
      'FILES',
      entry(bold('/run/vnet-bpf'), 'what is attached, and the peer namespace'),
      entry(bold('/sys/fs/bpf/vnet-bpf'), 'pinned maps and programs'),
      entry(bold('/etc/vnet-bpf/IFACE.conf'), 'options of a unit of systemd'),
    ),
    section('EXAMPLES', ...examples),
    section(
      'SEE ALSO',
      `${bold('ip-link')}(8), ${bold('ip-netns')}(8), ${bold('veth')}(4), ${bold('bpf')}(2); docs/cli.md in the package`,
    ),
    '',
  ].join('\n');
}

if (require.main === module) {
  const { version } = JSON.parse(fs.readFileSync(path.join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  process.stdout.write(manPage(version, fs.readFileSync(process.argv[2] ?? '', 'utf8')));
}
