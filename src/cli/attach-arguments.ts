// SPDX-License-Identifier: MIT
/** What the larger commands take: their options, and the arguments that come of them. The others are in commands.ts. */
import { checkInterfaceName, type AttachOptions } from '../controller/options';
import { usageError } from '../errors';
import { absolutePath } from '../native/working-directory';
import { ATTACH_OPTIONS, type AttachOption } from '../options/attach-options';
import { readFlags } from '../options/read-options';
import type { Argv, Declared } from './command-table';
import { userDirectory } from './in-background';
import { flag, text } from './option-kinds';

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

/** Options of attach, those with these flags or all: other commands that make an interface take some of them. */
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

/** Checks everything that can be checked without the kernel; throws usage errors. */
export function toOptions(args: AttachArguments): AttachOptions {
  args.iface.forEach(checkInterfaceName);
  const twice = args.iface.find((name, i) => args.iface.indexOf(name) !== i);
  if (twice !== undefined) throw usageError(`attach ${twice}`, 'is named twice', 'name each interface once');
  if (args.iface.length > 1 && (args.addr || args.mac)) {
    throw usageError('attach', 'several interfaces cannot share one address', 'use --hairpin, and give each its own with ip addr add');
  }
  return readFlags({ ...args }, (name) => absolutePath(name, userDirectory()));
}
