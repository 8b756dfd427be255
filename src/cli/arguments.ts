// SPDX-License-Identifier: MIT
/** The arguments of `attach`, from the rows of ATTACH_OPTIONS; those of `record` and `extcap`, which record. */
import { FRAME_BYTES_MAX } from '../capture/contract';
import { usageError } from '../errors';
import { absolutePath } from '../native/inherited';
import { type AttachOption, type AttachOptions, OPTION_ROWS, type TypedOptions } from '../options/attach-options';
import { readFlags } from '../options/read-options';
import { checkInterfaceName } from '../options/values';
import { userDirectory } from './daemon';
import { type Declared, flag, type Options, text } from './declarations';

export interface AttachArguments extends TypedOptions {
  iface: string[];
  metrics?: string;
  daemon: boolean;
  dryRun: boolean;
  json: boolean;
}

function declared({ isFlag, choices, describe, default: otherwise, kinds, value, offers }: AttachOption): Declared {
  if (isFlag) return flag(describe);
  const kind = choices
    ? { choices, describe }
    : { ...text(describe, value), ...(kinds.includes('texts') && { repeatable: true as const }) };
  return { ...kind, ...(otherwise !== undefined && { otherwise }), ...(offers && { offers }) };
}

/** Options of attach, those with the given flags or all: other commands that make an interface take some of them. */
export const attachOptions = (...flags: readonly string[]): Options =>
  Object.fromEntries(
    OPTION_ROWS.filter((row) => flags.length === 0 || flags.includes(row.flag)).map((row) => [row.flag, declared(row)]),
  );

/** Checks everything that can be checked without the kernel. Throws usage errors. */
export function toOptions(args: AttachArguments): AttachOptions {
  args.iface.forEach(checkInterfaceName);
  const twice = args.iface.find((name, i) => args.iface.indexOf(name) !== i);
  if (twice !== undefined) throw usageError(`attach ${twice}`, 'is named twice', 'name each interface once');
  if (args.iface.length > 1 && args.addr)
    throw usageError(
      'attach',
      'several interfaces cannot share one address',
      'use --hairpin, and give each its own with ip addr add',
    );
  if (args.iface.length > 1 && args.mac)
    throw usageError(
      'attach',
      'several interfaces cannot share one Ethernet address',
      'leave --mac out: each gets one of its own; ip link set dev vnet0 address MAC changes it',
    );
  return readFlags({ ...args }, (name) => absolutePath(name, userDirectory()));
}

// Limits of `record`, and of `extcap`, which records for Wireshark.

/** Limits of --snaplen, in bytes: a frame's headers, and the largest frame of the loop. */
export const MIN_SNAPLEN = 64;
export const MAX_SNAPLEN = FRAME_BYTES_MAX;
export const DEFAULT_BUFFER = '32M';

/** Options of `extcap`: Wireshark prescribes all but the first. */
export const EXTCAP_OPTIONS: Options = {
  install: {
    ...text('put a program into DIRECTORY, or where your Wireshark looks, that calls this command', 'DIRECTORY'),
    valueIsOptional: true,
    offers: 'files',
  },
  'extcap-interfaces': flag('list the attached interfaces'),
  'extcap-version': text('version of Wireshark', 'VERSION'),
  'extcap-interface': { ...text('the interface that is meant', 'IFACE'), offers: 'interfaces' },
  'extcap-dlts': flag('say which link type it has'),
  'extcap-config': flag('say which options it has'),
  'extcap-capture-filter': text("capture filter, in tcpdump's syntax", 'EXPRESSION'),
  capture: flag('record it, until Wireshark ends this'),
  fifo: { ...text('pipe to write to', 'FILE'), offers: 'files' },
  snaplen: { ...text('as of record', 'BYTES'), default: String(MAX_SNAPLEN) },
  buffer: { ...text('as of record', 'SIZE'), default: DEFAULT_BUFFER },
};
