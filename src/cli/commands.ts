// SPDX-License-Identifier: MIT
/** The commands, one row each. A new command is a row here and a module. */
import { READ_FORMATS, UNPACKED_FORMATS, WRITTEN_FORMATS } from '../capture/formats';
import { ON_HOOK_ERROR } from '../options/values';
import { attachOptions, DEFAULT_BUFFER, EXTCAP_OPTIONS, MAX_SNAPLEN, MIN_SNAPLEN } from './arguments';
import {
  type Command,
  type Declared,
  filterOption,
  flag,
  iface,
  jsonOption,
  netnsOption,
  type QuickBundle,
  requiredIface,
  SHELLS,
  text,
} from './declarations';

/** Commands that spend nearly all of their time on starting. */
const LIST_STATS: QuickBundle = { name: 'list-stats', bytecode: 'called' };
/** Trials do not make or remove an interface, so they call too few of the functions. */
const ATTACH_DETACH: QuickBundle = { name: 'attach-detach', bytecode: 'all' };

const dryRun = flag('say what would be done, and do nothing');

/** For the interface of a network that is made for a command. */
const throwawayAddr: Declared = {
  ...text('address with prefix length, looped; may be repeated', 'CIDR'),
  repeatable: true,
  otherwise: '10.77.0.1/24 fd77::1/64',
};

/**
 * All commands. Each command's module is loaded only when it is used, and with `require`, because the first `import()`
 * of a process starts Node's loader of ES modules, which takes 15 ms.
 */
export const COMMANDS: readonly Command[] = [
  {
    name: 'attach',
    describe: 'make an interface whose transmitted frames come back as received ones',
    operands: [
      {
        name: 'iface',
        describe: 'the interface, such as vnet0; several are looped by one process',
        required: true,
        takesRest: true,
        offers: 'interfaces',
      },
    ],
    options: {
      ...attachOptions(),
      metrics: text('serve metrics at this address and port: 127.0.0.1:9100', 'ADDRESS:PORT[,NAME...]'),
      daemon: flag('return when the interface is ready'),
      'dry-run': dryRun,
      json: flag('print one JSON document when ready'),
    },
    examples: [
      { command: 'vnet-bpf attach vnet0 --addr 192.168.100.1/24', describe: 'loop vnet0 until Ctrl-C' },
      { command: 'vnet-bpf attach vnet0 --daemon --netns lab', describe: 'in the background, in a namespace' },
    ],
    quick: { bundle: ATTACH_DETACH, trial: ['vnet0', '--dry-run'] },
    load: () => (require('./attach') as typeof import('./attach')).attachCommand,
  },
  {
    name: 'run',
    describe: 'run a command in a network of its own, with a looping vnet0; nothing is left when it ends',
    operands: [],
    options: {
      addr: throwawayAddr,
      ...attachOptions('hook', 'on-hook-error', 'faults', 'seed'),
      'faults-log': { ...text('file for the faults that have happened, a line of JSON each', 'FILE'), offers: 'files' },
      impair: text('a bad wire, in the words of impair: "delay 20ms loss 1%"', 'WORDS'),
      stats: { ...text('file for the counters, instead of standard error', 'FILE'), offers: 'files' },
      json: flag('the counters as the JSON document of stats --json'),
    },
    examples: [{ command: 'vnet-bpf run -- ping -c 3 10.77.0.1', describe: 'three pings through the loop' }],
    runsAnother: true,
    load: () => (require('./run') as typeof import('./run')).runCommand,
  },
  {
    name: 'explore',
    describe: 'find the fewest and smallest faults that make a command fail',
    operands: [],
    options: {
      faults: {
        ...text("faults that may happen: rules in words, 'udp: loss 10%', or a file of such rules", 'RULES|FILE'),
        required: true,
        offers: 'files',
      },
      runs: { ...text('the most runs in which a failure is looked for', 'N'), default: '100' },
      jobs: { ...text('how many run at once', 'N'), default: '1' },
      seed: { ...text('seed of the first run; each run has the next one', 'N'), otherwise: "the file's, or 1" },
      timeout: {
        ...text('a run that takes longer has failed', 'SECONDS'),
        otherwise: '5 times as long as without faults, at least 10',
      },
      addr: throwawayAddr,
      repro: {
        ...text('write PREFIX.faults.json and PREFIX.pcapng, which repeat and show the failure', 'PREFIX'),
        default: 'repro',
        offers: 'files',
      },
      json: jsonOption,
    },
    examples: [
      {
        command: "vnet-bpf explore --faults 'udp: loss 10% delay 5ms jitter 5ms' -- ./test.sh",
        describe: 'which lost or late datagram makes the test fail',
      },
    ],
    runsAnother: true,
    load: () => (require('./explore') as typeof import('./explore')).exploreCommand,
  },
  {
    name: 'detach',
    describe: 'remove an interface and everything made for it',
    operands: [iface],
    options: {
      netns: netnsOption,
      all: flag('every interface, with --netns those of that namespace'),
      'dry-run': dryRun,
      json: jsonOption,
    },
    quick: { bundle: ATTACH_DETACH, trial: ['vnet0', '--dry-run'] },
    load: () => (require('./detach') as typeof import('./detach')).detachCommand,
  },
  {
    name: 'list',
    describe: 'show the attached interfaces',
    operands: [],
    options: { json: jsonOption },
    quick: { bundle: LIST_STATS, trial: [] },
    load: () => (require('./list') as typeof import('./list')).listCommand,
  },
  {
    name: 'hook',
    describe: 'let a program see each frame, or another one, or none',
    operands: [iface, { name: 'file', describe: 'the hook: TypeScript or JavaScript', offers: 'files' }],
    options: {
      none: flag('take the hook off'),
      init: {
        ...text('write a hook to begin with, and what an editor needs to know its types', 'FILE'),
        offers: 'files',
      },
      'on-hook-error': {
        choices: ON_HOOK_ERROR,
        describe: 'what becomes of a frame whose hook fails',
        otherwise: 'as before, or pass',
      },
      netns: netnsOption,
    },
    examples: [
      { command: 'vnet-bpf hook vnet0 ./hook.ts', describe: 'another hook, while traffic flows' },
      { command: 'vnet-bpf hook --init /etc/vnet-bpf/hook.ts', describe: 'one to begin with' },
    ],
    load: () => (require('./hook') as typeof import('./hook')).hookCommand,
  },
  {
    name: 'faults',
    describe: 'drop, delay or change just the frames that rules name, the same ones each time',
    operands: [
      iface,
      {
        name: 'rules',
        describe: "rules in words, 'udp port 53 nth 2: drop', or a file of text, JSON or TypeScript with rules",
        takesRest: true,
        offers: 'files',
      },
    ],
    options: {
      netns: netnsOption,
      ...attachOptions('seed'),
      show: flag('show the rules, and how often each has matched'),
      log: flag('print the faults that have happened, a line of JSON each'),
      clear: flag('take the rules away'),
      words: flag('list the words of rules'),
      json: flag('with --show: print one JSON document'),
    },
    examples: [
      {
        command: "vnet-bpf faults vnet0 'udp port 53 nth 2: drop'",
        describe: 'the second datagram of each connection to port 53',
      },
      {
        command: "vnet-bpf faults vnet0 'tcp port 443: delay 40ms jitter 5ms loss 2%' --seed 7",
        describe: 'by chance, and the same again with the same seed',
      },
    ],
    load: () => (require('./faults') as typeof import('./faults')).faultsCommand,
  },
  {
    name: 'impair',
    describe: 'delay, lose, duplicate, reorder, corrupt or slow down what comes back',
    operands: [
      requiredIface,
      {
        name: 'words',
        describe: 'those of netem: delay 20ms loss 1%, or the name of a wire: 3g; docs/cli.md, "impair", lists them',
        takesRest: true,
        offers: 'wires',
      },
    ],
    options: {
      netns: netnsOption,
      clear: flag('take the impairment away'),
      show: flag('show what is in place'),
      'dry-run': flag('print the commands, do nothing'),
      json: flag('with --show: print one JSON document'),
    },
    examples: [
      { command: 'vnet-bpf impair vnet0 delay 20ms 5ms loss 1%', describe: 'a wire that is slow and loses frames' },
    ],
    // `delay -5ms` is a wrong word, not four options.
    takesUnknown: true,
    load: () => (require('./impair') as typeof import('./impair')).impairCommand,
  },
  {
    name: 'carrier',
    describe: 'take the carrier away, as pulling out the cable does, and restore it; without a direction, show it',
    operands: [
      requiredIface,
      { name: 'direction', choices: ['down', 'up'], describe: 'down takes it away, up restores it' },
    ],
    options: {
      netns: netnsOption,
      for: text('with down: restore it after this time, such as 500ms or 2s', 'TIME'),
      json: flag('without a direction: print one JSON document'),
    },
    examples: [
      { command: 'vnet-bpf carrier vnet0 down --for 2s', describe: 'NO-CARRIER for two seconds; returns at once' },
    ],
    load: () => (require('./carrier') as typeof import('./carrier')).carrierCommand,
  },
  {
    name: 'step',
    describe: 'stop the loop and look at each frame; senders wait',
    operands: [requiredIface],
    options: { netns: netnsOption, filter: filterOption },
    load: () => (require('../step/debugger') as typeof import('../step/debugger')).stepCommand,
  },
  {
    name: 'stats',
    describe: 'show the counters of an interface, or of all',
    operands: [iface],
    options: {
      netns: netnsOption,
      json: jsonOption,
      prometheus: flag('print metrics in the text format of Prometheus'),
      check: flag('fail unless the frame accounting balances'),
      watch: { ...text('print again every SECONDS (1)', 'SECONDS'), valueIsOptional: true },
    },
    quick: { bundle: LIST_STATS, trial: [] },
    load: () => (require('./stats') as typeof import('./stats')).statsCommand,
  },
  {
    name: 'top',
    describe: 'watch interfaces live: rates, queue, stops and wakes, drops',
    operands: [iface],
    options: { netns: netnsOption, interval: { ...text('seconds between two looks', 'SECONDS'), default: '1' } },
    load: () => (require('./top') as typeof import('./top')).topCommand,
  },
  {
    name: 'web',
    describe: 'show interfaces at work on a page in the browser',
    operands: [{ ...iface, describe: 'the interface; several, or all that are attached', takesRest: true }],
    options: {
      netns: netnsOption,
      listen: {
        ...text('address and port of the page; port 0 takes any that is free', 'ADDRESS:PORT'),
        default: '127.0.0.1:0',
      },
      'allow-remote': flag('allow --listen an address that other machines reach; nothing is encrypted'),
      'read-only': flag('show, and change nothing'),
    },
    load: () => (require('./web') as typeof import('./web')).webCommand,
  },
  {
    name: 'record',
    describe: 'write what the loop does to each frame into a file for Wireshark',
    operands: [requiredIface],
    options: {
      netns: netnsOption,
      write: {
        short: 'w',
        ...text(`file to write, in ${WRITTEN_FORMATS}; - is standard output`, 'FILE'),
        required: true,
        offers: 'files',
      },
      snaplen: {
        ...text(`most bytes of each frame, ${MIN_SNAPLEN} to ${MAX_SNAPLEN}`, 'BYTES'),
        default: String(MAX_SNAPLEN),
      },
      count: { short: 'c', ...text('stop after this many frames', 'N') },
      duration: text('stop after this many seconds', 'SECONDS'),
      buffer: {
        ...text('frames wait in it for the recorder: a power of two from 256K to 1G', 'SIZE'),
        default: DEFAULT_BUFFER,
      },
      filter: filterOption,
      'rotate-size': text('start another file, run-00002.pcapng, before one exceeds this size: at least 64K', 'SIZE'),
      'rotate-time': text('start another file after this many seconds', 'SECONDS'),
      files: text('keep only this many files, the latest', 'N'),
      json: jsonOption,
    },
    examples: [
      { command: 'vnet-bpf record vnet0 -w run.pcapng', describe: 'what the loop does to each frame, for Wireshark' },
    ],
    load: () => (require('./record') as typeof import('./record')).recordCommand,
  },
  {
    name: 'replay',
    describe: 'send the frames of a capture file on an interface',
    operands: [
      {
        name: 'file',
        describe: `in ${READ_FORMATS}, also compressed by ${UNPACKED_FORMATS}; - is standard input`,
        required: true,
        offers: 'files',
      },
    ],
    options: {
      into: { ...text('the interface to send on', 'IFACE'), required: true, offers: 'interfaces' },
      netns: netnsOption,
      timing: {
        choices: ['original', 'max'],
        default: 'max',
        describe: 'as far apart as they were captured, or as fast as the loop takes them',
      },
      'max-gap': text('most seconds between two frames, with --timing original', 'SECONDS'),
      filter: filterOption,
      'as-is': flag('send superpackets and unfinished checksums as they are in the file'),
      json: jsonOption,
    },
    examples: [{ command: 'vnet-bpf replay run.pcapng --into vnet0', describe: 'the same frames once more' }],
    load: () => (require('./replay') as typeof import('./replay')).replayCommand,
  },
  {
    name: 'extcap',
    describe: 'let Wireshark record: it calls this',
    operands: [],
    options: EXTCAP_OPTIONS,
    load: () => (require('./extcap') as typeof import('./extcap')).extcapCommand,
  },
  {
    name: 'log',
    describe: 'show what happened: lifecycle, queue stopped, queue woken',
    operands: [iface],
    options: {
      netns: netnsOption,
      follow: { short: 'f', ...flag('wait for more') },
      json: flag('print one JSON document; with --follow one a line'),
    },
    load: () => (require('./log') as typeof import('./log')).logCommand,
  },
  {
    name: 'doctor',
    describe: 'check whether this machine has what vnet-bpf needs',
    operands: [],
    options: { json: jsonOption },
    withoutRoot: true,
    load: () => (require('../doctor/doctor') as typeof import('../doctor/doctor')).doctorCommand,
  },
  {
    name: 'demo',
    describe: 'show the loop at work in a throwaway namespace',
    operands: [],
    options: {},
    load: () => (require('../demo/demo') as typeof import('../demo/demo')).demoCommand,
  },
  {
    name: 'completion',
    describe: 'print what makes a shell complete commands, options and names',
    operands: [{ name: 'shell', choices: SHELLS, describe: 'the shell' }],
    options: { install: flag('put it where the shell looks for it; of all shells, if none is named') },
    withoutRoot: true,
    load: () => (require('./completion') as typeof import('./completion')).completionCommand,
  },
  {
    name: 'help',
    describe: 'show what vnet-bpf or one of its commands takes',
    operands: [{ name: 'command', describe: 'the command', offers: 'commands' }],
    options: {},
    withoutRoot: true,
    load: () => (require('./help') as typeof import('./help')).helpCommand,
  },
  {
    name: 'version',
    describe: 'show the version',
    operands: [],
    options: {},
    withoutRoot: true,
    load: () => (require('./help') as typeof import('./help')).versionCommand,
  },
];
