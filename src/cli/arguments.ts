// SPDX-License-Identifier: MIT
/** Options of the larger commands, and the types of their arguments. The other commands are in commands.ts. */
import { FRAME_BYTES_MAX } from '../capture/contract';
import { READ_FORMATS, UNPACKED_FORMATS, WRITTEN_FORMATS } from '../capture/formats';
import { usageError } from '../errors';
import type { OnHookError } from '../hooks/contract';
import { absolutePath } from '../native/inherited';
import { ATTACH_OPTIONS, type AttachOption } from '../options/attach-options';
import { readFlags } from '../options/read-options';
import { type AttachOptions, checkInterfaceName } from '../options/values';
import { userDirectory } from './daemon';
import { type Argv, type Declared, filterOption, flag, jsonOption, netnsOption, text } from './declarations';

export interface AttachArguments {
  iface: string[];
  type?: 'veth' | 'dummy';
  netns?: string;
  addr?: string[];
  hairpin: boolean;
  mac?: string;
  mtu?: string;
  queues?: string;
  ringSize?: string;
  queuePackets?: string;
  budget?: string;
  gro?: 'on' | 'off';
  busyPoll?: string;
  whenFull?: 'hold' | 'drop';
  lowWatermark?: string;
  hook?: string;
  onHookError?: 'pass' | 'drop' | 'detach';
  metrics?: string;
  replace: boolean;
  daemon: boolean;
  dryRun: boolean;
  json: boolean;
}

function declared({ isFlag, choices, describe, kinds, value }: AttachOption): Declared {
  if (isFlag) return flag(describe);
  if (choices) return { choices, requiresArg: true, describe };
  return { ...text(describe, value), ...(kinds.includes('texts') && { array: true }) };
}

/** Options of attach, those with the given flags or all: other commands that make an interface take some of them. */
export const attachOptions = (...flags: readonly string[]): Record<string, Declared> =>
  Object.fromEntries(ATTACH_OPTIONS.filter((row) => flags.length === 0 || flags.includes(row.flag)).map((row) => [row.flag, declared(row)]));

export function attachArguments(y: Argv): Argv {
  return y
    .positional('iface', { type: 'string', array: true, demandOption: true, describe: 'the interface, such as vnet0; several are looped by one process' })
    .options(attachOptions())
    .option('metrics', text('serve metrics at this address and port: 127.0.0.1:9100', 'ADDRESS:PORT'))
    .option('daemon', flag('return when the interface is ready'))
    .option('dry-run', flag('say what would be done, and do nothing'))
    .option('json', flag('print one JSON document when ready'))
    .example('$0 attach vnet0 --addr 192.168.100.1/24', 'loop vnet0 until Ctrl-C')
    .example('$0 attach vnet0 --daemon --netns lab', 'in the background, in a namespace');
}

/** Checks everything that can be checked without the kernel. Throws usage errors. */
export function toOptions(args: AttachArguments): AttachOptions {
  args.iface.forEach(checkInterfaceName);
  const twice = args.iface.find((name, i) => args.iface.indexOf(name) !== i);
  if (twice !== undefined) throw usageError(`attach ${twice}`, 'is named twice', 'name each interface once');
  if (args.iface.length > 1 && (args.addr || args.mac)) {
    throw usageError('attach', 'several interfaces cannot share one address', 'use --hairpin, and give each its own with ip addr add');
  }
  return readFlags({ ...args }, (name) => absolutePath(name, userDirectory()));
}

// The options of `run`.

export interface RunArguments {
  addr: string[] | undefined;
  hook: string | undefined;
  onHookError: OnHookError | undefined;
  impair: string | undefined;
  stats: string | undefined;
  json: boolean;
}

export function runOptions(y: Argv): Argv {
  return y
    .usage('$0 run [options] -- COMMAND [ARGS...]\n\nRuns a command in a network namespace of its own, with a looping vnet0 in it.')
    .option('addr', { ...text('address with prefix length, looped; may be repeated [10.77.0.1/24 fd77::1/64]'), array: true })
    .options(attachOptions('hook', 'on-hook-error'))
    .option('impair', text('a bad wire, in the words of impair: "delay 20ms loss 1%"'))
    .option('stats', text('file for the counters, instead of standard error'))
    .option('json', flag('the counters as the JSON document of stats --json'))
    .example('$0 run -- ping -c 3 10.77.0.1', 'three pings through the loop');
}

// The options of `impair`.

export interface ImpairArguments {
  iface: string;
  words: string[] | undefined;
  netns: string | undefined;
  clear: boolean;
  show: boolean;
  dryRun: boolean;
  json: boolean;
}

export function impairOptions(y: Argv): Argv {
  return y
    // `delay -5ms` is a wrong word, not four options.
    .unknownOptionsAreWords()
    .positional('iface', { type: 'string', demandOption: true, describe: 'the interface' })
    .positional('words', { type: 'string', array: true, describe: 'those of netem: delay 20ms loss 1%, or the name of a wire: 3g' })
    .option('netns', netnsOption)
    .option('clear', flag('take the impairment away'))
    .option('show', flag('show what is in place'))
    .option('dry-run', flag('print the commands, do nothing'))
    .option('json', flag('with --show: print one JSON document'))
    .example('$0 impair vnet0 delay 20ms 5ms loss 1%', 'a wire that is slow and loses frames');
}

// The options of `record` and `replay`.

export interface RecordArguments {
  iface: string;
  netns: string | undefined;
  write: string;
  snaplen: string;
  count: string | undefined;
  duration: string | undefined;
  buffer: string;
  filter: string | undefined;
  rotateSize: string | undefined;
  rotateTime: string | undefined;
  files: string | undefined;
  json: boolean;
}

/** Limits of --snaplen, in bytes: a frame's headers, and the largest frame of the loop. */
export const MIN_SNAPLEN = 64;
export const MAX_SNAPLEN = FRAME_BYTES_MAX;
/** The smallest limit for a file that rotates, in bytes, so that it holds some frames. */
export const ROTATE_BYTES_MIN = 65536;
export const FILES_MAX = 99999;
export const DEFAULT_BUFFER = '32M';

export function recordOptions(y: Argv): Argv {
  return y
    .positional('iface', { type: 'string', demandOption: true, describe: 'the interface' })
    .option('netns', netnsOption)
    .option('write', { alias: 'w', ...text(`file to write, in ${WRITTEN_FORMATS}; - is standard output`), demandOption: true })
    .option('snaplen', { ...text(`most bytes of each frame, ${MIN_SNAPLEN} to ${MAX_SNAPLEN}`), default: String(MAX_SNAPLEN) })
    .option('count', { alias: 'c', ...text('end after so many frames') })
    .option('duration', text('end after so many seconds'))
    .option('buffer', { ...text('frames wait in it for the recorder: a power of two from 256K to 1G'), default: DEFAULT_BUFFER })
    .option('filter', filterOption)
    .option('rotate-size', text('begin another file, run-00002.pcapng, when one has so many bytes: from 64K on', 'SIZE'))
    .option('rotate-time', text('begin another file after so many seconds', 'SECONDS'))
    .option('files', text('keep so many of those files: the latest', 'N'))
    .option('json', jsonOption)
    .example('$0 record vnet0 -w run.pcapng', 'what the loop does to each frame, for Wireshark');
}

export interface ReplayArguments {
  file: string;
  into: string;
  netns: string | undefined;
  timing: 'original' | 'max';
  maxGap: string | undefined;
  asIs: boolean;
  filter: string | undefined;
  json: boolean;
}

export function replayOptions(y: Argv): Argv {
  return y
    .positional('file', { type: 'string', demandOption: true, describe: `in ${READ_FORMATS}, also compressed by ${UNPACKED_FORMATS}; - is standard input` })
    .option('into', { ...text('the interface to send on'), demandOption: true })
    .option('netns', netnsOption)
    .option('timing', { choices: ['original', 'max'] as const, default: 'max' as const, requiresArg: true, describe: 'as far apart as they were captured, or as fast as the loop takes them' })
    .option('max-gap', text('most seconds between two frames, with --timing original', 'SECONDS'))
    .option('filter', filterOption)
    .option('as-is', flag('send superpackets and unfinished checksums as they are in the file'))
    .option('json', jsonOption)
    .example('$0 replay run.pcapng --into vnet0', 'the same frames once more');
}

// The options of `extcap`: those with which Wireshark calls such a program.

export interface ExtcapArguments {
  extcapInterfaces: boolean;
  extcapInterface: string | undefined;
  extcapDlts: boolean;
  extcapConfig: boolean;
  extcapCaptureFilter: string | undefined;
  capture: boolean;
  fifo: string | undefined;
  snaplen: string;
  buffer: string;
  install: string | undefined;
}

export function extcapOptions(y: Argv): Argv {
  return y
    .option('install', { type: 'string', describe: 'put a program into DIRECTORY, or where your Wireshark looks, that calls this command' })
    .option('extcap-interfaces', flag('list the attached interfaces'))
    .option('extcap-version', text('version of Wireshark'))
    .option('extcap-interface', text('the interface that is meant'))
    .option('extcap-dlts', flag('say which link type it has'))
    .option('extcap-config', flag('say which options it has'))
    .option('extcap-capture-filter', text('capture filter, in tcpdump\'s syntax'))
    .option('capture', flag('record it, until Wireshark ends this'))
    .option('fifo', text('pipe to write to'))
    .option('snaplen', { ...text('as of record'), default: String(MAX_SNAPLEN) })
    .option('buffer', { ...text('as of record'), default: DEFAULT_BUFFER });
}
