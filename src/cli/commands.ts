// SPDX-License-Identifier: MIT
/** The commands and their options. */
import { ON_HOOK_ERROR } from '../options/values';
import { attachArguments, extcapOptions, impairOptions, recordOptions, replayOptions, runOptions } from './arguments';
import { CommandTable, filterOption, flag, jsonOption, netnsOption, text } from './declarations';

/**
 * All commands. Each command's module is loaded only when it is used, and with `require`, because the first `import()`
 * of a process starts Node's loader of ES modules, which takes 15 ms.
 */
export const COMMANDS: CommandTable = new CommandTable()
  .command(
    'attach <iface..>',
    'make an interface whose transmitted frames come back as received ones',
    (y) => attachArguments(y),
    () => (require('./attach') as typeof import('./attach')).attachCommand,
  )
  .command(
    'run',
    'run a command in a network of its own, with a looping vnet0; nothing is left when it ends',
    (y) => runOptions(y),
    () => (require('./run') as typeof import('./run')).runCommand,
  )
  .command(
    'detach [iface]',
    'remove an interface and everything made for it',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('all', flag('every interface, with --netns those of that namespace'))
        .option('dry-run', flag('say what would be done, and do nothing'))
        .option('json', jsonOption),
    () => (require('./detach') as typeof import('./detach')).detachCommand,
  )
  .command(
    'list',
    'show the attached interfaces',
    (y) => y.option('json', jsonOption),
    () => (require('./list') as typeof import('./list')).listCommand,
  )
  .command(
    'hook [iface] [file]',
    'let a program see each frame, or another one, or none',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .positional('file', { type: 'string', describe: 'the hook: TypeScript or JavaScript' })
        .option('none', flag('take the hook off'))
        .option('init', text('write a hook to begin with, and what an editor needs to know its types', 'FILE'))
        .option('on-hook-error', { choices: ON_HOOK_ERROR, requiresArg: true, describe: 'what becomes of a frame whose hook fails [as before, or pass]' })
        .option('netns', netnsOption)
        .example('$0 hook vnet0 ./hook.ts', 'another hook, while traffic flows')
        .example('$0 hook --init /etc/vnet-bpf/hook.ts', 'one to begin with'),
    () => (require('./hook') as typeof import('./hook')).hookCommand,
  )
  .command(
    'impair <iface> [words..]',
    'delay, lose, duplicate, reorder, corrupt or slow down what comes back',
    (y) => impairOptions(y),
    () => (require('./impair') as typeof import('./impair')).impairCommand,
  )
  .command(
    'step <iface>',
    'stop the loop and look at each frame; senders wait',
    (y) => y.positional('iface', { type: 'string', demandOption: true, describe: 'the interface' }).option('netns', netnsOption).option('filter', filterOption),
    () => (require('../step/step') as typeof import('../step/step')).stepCommand,
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
        .option('watch', { type: 'string', value: 'SECONDS', describe: 'print again every SECONDS (1)' }),
    () => (require('./stats') as typeof import('./stats')).statsCommand,
  )
  .command(
    'top [iface]',
    'watch interfaces live: rates, queue, stops and wakes, drops',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('interval', { type: 'string', default: '1', requiresArg: true, describe: 'seconds between two looks' }),
    () => (require('./top') as typeof import('./top')).topCommand,
  )
  .command(
    'record <iface>',
    'write what the loop does to each frame into a file for Wireshark',
    (y) => recordOptions(y),
    () => (require('./record') as typeof import('./record')).recordCommand,
  )
  .command(
    'replay <file>',
    'send the frames of a capture file on an interface',
    (y) => replayOptions(y),
    () => (require('./replay') as typeof import('./replay')).replayCommand,
  )
  .command(
    'extcap',
    'let Wireshark record: it calls this',
    (y) => extcapOptions(y),
    () => (require('./extcap') as typeof import('./extcap')).extcapCommand,
  )
  .command(
    'log [iface]',
    'show what happened: lifecycle, queue stopped, queue woken',
    (y) =>
      y
        .positional('iface', { type: 'string', describe: 'the interface' })
        .option('netns', netnsOption)
        .option('follow', { alias: 'f', ...flag('wait for more') })
        .option('json', flag('print one JSON document; with --follow one a line')),
    () => (require('./log') as typeof import('./log')).logCommand,
  )
  .command(
    'doctor',
    'check whether this machine has what vnet-bpf needs',
    (y) => y.option('json', jsonOption),
    () => (require('../doctor/doctor') as typeof import('../doctor/doctor')).doctorCommand,
  )
  .command(
    'demo',
    'show the loop at work in a throwaway namespace',
    (y) => y,
    () => (require('../demo/demo') as typeof import('../demo/demo')).demoCommand,
  )
  .command(
    'completion [shell]',
    'print what makes a shell complete commands, options and names',
    (y) => y.positional('shell', { choices: ['bash', 'zsh', 'fish'] as const, describe: 'the shell' }).option('install', flag('put it where the shell looks for it; of all shells, if none is named')),
    () => (args) => (require('./completion') as typeof import('./completion')).completionCommand(args, COMMANDS),
  )
  .command(
    'help [command]',
    'show what vnet-bpf or one of its commands takes',
    (y) => y.positional('command', { type: 'string', describe: 'the command' }),
    () => (args) => (require('./help') as typeof import('./help')).helpCommand(args, COMMANDS),
  )
  .command(
    'version',
    'show the version',
    (y) => y,
    () => (require('./help') as typeof import('./help')).versionCommand,
  );
