// SPDX-License-Identifier: MIT
/**
 * The commands and their options: each command's module is loaded only when it is used. With `require`, because
 * the first `import()` of a process starts Node's loader of ES modules, which takes 15 ms.
 */
import { isatty } from 'node:tty';

import type { Argv } from 'yargs';
// Not from `yargs`, which makes a parser of its own when it is loaded: 5 ms.
import yargs from 'yargs/yargs';

import { usageError, VnetError } from '../errors';
import { attachArguments, type AttachArguments } from './attach-arguments';
import { extcapOptions, type ExtcapArguments } from './extcap-arguments';
import { impairOptions, type ImpairArguments } from './impair-arguments';
import { flag, jsonOption, netnsOption, PARSER } from './option-kinds';
import { printMade } from './output';
import { recordOptions, replayOptions, type RecordArguments, type ReplayArguments } from './record-arguments';
import { runOptions, type RunArguments } from './run-arguments';
import { splitCommand } from './split-command';

interface InterfaceArguments {
  iface: string;
  netns: string | undefined;
}

/** What may be given more than once. */
const MANY = ['_', 'addr', 'iface', 'words'];

/** Strings that users give once; a list means that they gave the option twice. */
function once(argv: Record<string, unknown>): true {
  for (const [name, value] of Object.entries(argv)) {
    if (Array.isArray(value) && !MANY.includes(name)) throw usageError(`--${name}`, 'is given twice', 'give it once; of the options only --addr may be repeated');
  }
  return true;
}

/** The command behind `--` is not ours to parse. */
const { own, command } = splitCommand(process.argv.slice(2));

/** The command that was chosen, and what its handler throws: yargs would lay out the help text after it, which takes 5 ms. */
let chosen: () => Promise<void> | void = () => undefined;
const CHOSEN = new Error('a command was chosen');

function start(command: () => Promise<void> | void): void {
  chosen = command;
  throw CHOSEN;
}

/** Help is as wide as the terminal; to look at it takes 8 ms. */
function width(): number {
  if (!own.includes('--help') || !isatty(1)) return 100;
  const { columns } = process.stdout;
  return Math.min(100, columns || 100);
}

/** All that the command line understands; the manual and completion are made of it, too. The directory is for yargs, which would ask for the working directory. */
export const makeParser = (): Argv => yargs(own, __dirname)
  .scriptName('vnet-bpf')
  .usage('$0 <command>\n\nA loopback NIC: what an interface transmits comes back as received.')
  .command(
    'attach <iface..>',
    'make an interface whose transmitted frames come back as received ones',
    (y) => attachArguments(y),
    (argv) => start(() => (require('./attach') as typeof import('./attach')).attachCommand(argv as unknown as AttachArguments)),
  )
  .command(
    'run',
    'run a command in a network of its own, with a looping vnet0; nothing is left when it ends',
    (y) => runOptions(y),
    (argv) => start(() => (require('./run') as typeof import('./run')).runCommand(argv as unknown as RunArguments, command)),
  )
  .command(
    'detach [iface]',
    'remove an interface and everything made for it',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('all', flag('every interface, with --netns those of that namespace'))
        .option('dry-run', flag('say what would be done, and do nothing')),
    (argv) => start(() => (require('./detach') as typeof import('./detach')).detachCommand(argv as unknown as Partial<InterfaceArguments> & { all: boolean; dryRun: boolean })),
  )
  .command(
    'list',
    'show the attached interfaces',
    (y) => y.option('json', jsonOption),
    (argv) => start(() => (require('./list') as typeof import('./list')).listCommand(argv)),
  )
  .command(
    'hook <iface> [file]',
    'let a program see each frame, or another one, or none',
    (y) =>
      y
        .positional('iface', { type: 'string', demandOption: true, describe: 'the interface' })
        .positional('file', { type: 'string', describe: 'the hook: TypeScript or JavaScript' })
        .option('none', flag('take the hook off'))
        .option('on-hook-error', { choices: ['pass', 'drop', 'detach'] as const, requiresArg: true, describe: 'what becomes of a frame whose hook fails [as before, or pass]' })
        .option('netns', netnsOption),
    (argv) => start(() => (require('./hook') as typeof import('./hook')).hookCommand(argv)),
  )
  .command(
    'impair <iface> [words..]',
    'delay, lose, duplicate, reorder, corrupt or slow down what comes back',
    (y) => impairOptions(y),
    (argv) => start(() => (require('./impair') as typeof import('./impair')).impairCommand(argv as unknown as ImpairArguments)),
  )
  .command(
    'step <iface>',
    'stop the loop and look at each frame; senders wait',
    (y) => y.positional('iface', { type: 'string', demandOption: true, describe: 'the interface' }).option('netns', netnsOption),
    (argv) => start(() => (require('./step') as typeof import('./step')).stepCommand(argv)),
  )
  .command(
    'stats [iface]',
    'show the counters of an interface, or of all',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('json', jsonOption)
        .option('prometheus', flag('print metrics in the text format of Prometheus'))
        .option('check', flag('fail unless the law of the loop balances'))
        .option('watch', { type: 'string', describe: 'print again every SECONDS (1)' }),
    (argv) => start(() => (require('./stats') as typeof import('./stats')).statsCommand(argv)),
  )
  .command(
    'top [iface]',
    'watch interfaces live: rates, queue, stops and wakes, drops',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('interval', { type: 'string', default: '1', requiresArg: true, describe: 'seconds between two looks' }),
    (argv) => start(() => (require('./top') as typeof import('./top')).topCommand(argv)),
  )
  .command(
    'record <iface>',
    'write what the loop does to each frame into a file for Wireshark',
    (y) => recordOptions(y),
    (argv) => start(() => (require('./record') as typeof import('./record')).recordCommand(argv as unknown as RecordArguments)),
  )
  .command(
    'replay <file>',
    'send the frames of a capture file on an interface',
    (y) => replayOptions(y),
    (argv) => start(() => (require('./replay') as typeof import('./replay')).replayCommand(argv as unknown as ReplayArguments)),
  )
  .command(
    'extcap',
    'let Wireshark record: it calls this',
    (y) => extcapOptions(y),
    (argv) => start(() => (require('./extcap') as typeof import('./extcap')).extcapCommand(argv as unknown as ExtcapArguments)),
  )
  .command(
    'log [iface]',
    'show what happened: lifecycle, queue stopped, queue woken',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('follow', { alias: 'f', ...flag('wait for more') }),
    (argv) => start(() => (require('./log') as typeof import('./log')).logCommand(argv)),
  )
  .command(
    'doctor',
    'check whether this machine has what vnet-bpf needs',
    (y) => y.option('json', jsonOption),
    (argv) => start(() => (require('./doctor') as typeof import('./doctor')).doctorCommand(argv)),
  )
  .command(
    'demo',
    'show the loop at work in a throwaway namespace',
    (y) => y,
    () => start(() => (require('./demo') as typeof import('./demo')).demoCommand()),
  )
  .command(
    'completion [shell]',
    'print what makes a shell complete commands, options and names',
    (y) => y.positional('shell', { choices: ['bash', 'zsh', 'fish'] as const, describe: 'the shell' }).option('install', flag('put it where the shell looks for it; of all shells, if none is named')),
    (argv) => start(() => (require('./completion') as typeof import('./completion')).completionCommand(argv)),
  )
  .option('debug', flag('show stack traces and verifier logs'))
  .demandCommand(1, 'say what to do')
  .strict()
  .check(once)
  .parserConfiguration(PARSER)
  // Reads the file that LC_ALL or LANG names, wherever that is.
  .detectLocale(false)
  .version()
  .help()
  .wrap(width())
  .exitProcess(false)
  .fail((message, error) => {
    throw error instanceof VnetError || (error && !message)
      ? error
      : usageError('command line', message, 'vnet-bpf --help shows the commands, vnet-bpf COMMAND --help its options');
  });

/** Runs the command that the arguments name; rejects with what went wrong. */
export async function runCommandLine(): Promise<void> {
  let help = '';
  try {
    // With a callback yargs leaves it to us to print help and version.
    makeParser().parseSync(own, {}, (_error, _arguments, output) => void (help = output));
  } catch (error) {
    if (error !== CHOSEN) throw error;
  }
  if (help !== '') printMade(help);
  await chosen();
}
