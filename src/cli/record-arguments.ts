// SPDX-License-Identifier: MIT
/** The options of `record` and `replay`. */
import { FRAME_BYTES_MAX } from '../recording/pcapng';
import type { Argv } from './command-table';
import { filterOption, flag, jsonOption, netnsOption, text } from './option-kinds';

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

/** A frame's headers; the largest frame of the loop. */
export const MIN_SNAPLEN = 64;
export const MAX_SNAPLEN = FRAME_BYTES_MAX;
/** A file that rotates has some frames at least. */
export const ROTATE_BYTES_MIN = 65536;
export const FILES_MAX = 99999;
export const DEFAULT_BUFFER = '32M';

export function recordOptions(y: Argv): Argv {
  return y
    .positional('iface', { type: 'string', demandOption: true, describe: 'the interface' })
    .option('netns', netnsOption)
    .option('write', { alias: 'w', ...text('file to write, in pcapng; - is standard output'), demandOption: true })
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
    .positional('file', { type: 'string', demandOption: true, describe: 'in pcapng or pcap, also compressed by gzip or zstd; - is standard input' })
    .option('into', { ...text('the interface to send on'), demandOption: true })
    .option('netns', netnsOption)
    .option('timing', { choices: ['original', 'max'] as const, default: 'max' as const, requiresArg: true, describe: 'as far apart as they were captured, or as fast as the loop takes them' })
    .option('max-gap', text('most seconds between two frames, with --timing original', 'SECONDS'))
    .option('filter', filterOption)
    .option('as-is', flag('send superpackets and unfinished checksums as they are in the file'))
    .option('json', jsonOption)
    .example('$0 replay run.pcapng --into vnet0', 'the same frames once more');
}
