// SPDX-License-Identifier: MIT
/** The options of `attach`: declared for yargs, and turned into AttachOptions. */
import type { Argv } from 'yargs';

import {
  checkInterfaceName,
  checkNetnsName,
  DEFAULTS,
  parseBudget,
  parseBusyPoll,
  parseCidr,
  parseMac,
  parseMtu,
  parseQueuePackets,
  parseQueues,
  parseRingSize,
  parseWatermark,
  requireOneQueueFor,
  type AttachOptions,
  type Cidr,
} from '../controller/options';
import { usageError } from '../errors';
import { absolutePath } from '../native/working-directory';
import { userDirectory } from './in-background';
import { flag, hookOptions, text } from './option-kinds';

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

export function attachArguments(y: Argv): Argv {
  return y
    .positional('iface', { type: 'string', array: true, demandOption: true, describe: 'the interface, such as vnet0; several are looped by one process' })
    .option('type', { choices: ['veth', 'dummy'] as const, requiresArg: true, describe: 'kind of interface [veth]' })
    .option('netns', text('network namespace to make it in'))
    .option('addr', { ...text('address with prefix length, looped; may be repeated'), array: true, nargs: 1 })
    .option('hairpin', flag('loop every address that the interface gets later, too'))
    .option('mac', text('Ethernet address; random unless given'))
    .option('mtu', text('MTU in bytes [1500]'))
    .option('queues', text('queues, each with a ring and a thread of its own; a flow keeps to one [1]'))
    .option('ring-size', text('size of the ring buffer of each queue, a power of two [8M]'))
    .option('queue-packets', text('limit each queue to so many frames, as a descriptor ring'))
    .option('budget', text('frames per poll, 1 to 1024 [64]'))
    .option('gro', { choices: ['on', 'off'] as const, requiresArg: true, describe: 'merge neighbouring datagrams of a flow on their way back [on]' })
    .option('busy-poll', text('microseconds for which the poller looks for frames before it sleeps [auto]'))
    .option('when-full', { choices: ['hold', 'drop'] as const, requiresArg: true, describe: 'frames that find the queue full wait, or are refused [hold]' })
    .option('low-watermark', text('part of the queue at which it wakes [50%]'))
    .options(hookOptions)
    .option('metrics', text('serve metrics at this address and port: 127.0.0.1:9100'))
    .option('replace', flag('detach the interface first if it is attached'))
    .option('daemon', flag('return when the interface is ready'))
    .option('dry-run', flag('say what would be done, and do nothing'))
    .option('json', flag('print one JSON document when ready'))
    .example('$0 attach vnet0 --addr 192.168.100.1/24', 'loop vnet0 until Ctrl-C')
    .example('$0 attach vnet0 --daemon --netns lab', 'in the background, in a namespace');
}

/** The addresses of `--addr`, each once. */
export function parseAddresses(texts: readonly string[]): Cidr[] {
  const addresses = texts.map(parseCidr);
  const seen = new Set<string>();
  for (const { address } of addresses) {
    if (seen.has(address)) throw usageError(`--addr ${address}`, 'is given twice', 'give each address once');
    seen.add(address);
  }
  return addresses;
}

/** Checks everything that can be checked without the kernel; throws usage errors. */
export function toOptions(args: AttachArguments): AttachOptions {
  args.iface.forEach(checkInterfaceName);
  const twice = args.iface.find((name, i) => args.iface.indexOf(name) !== i);
  if (twice !== undefined) throw usageError(`attach ${twice}`, 'is named twice', 'name each interface once');
  if (args.iface.length > 1 && (args.addr || args.mac)) {
    throw usageError('attach', 'several interfaces cannot share one address', 'use --hairpin, and give each its own with ip addr add');
  }
  const addresses = parseAddresses(args.addr ?? []);
  const ipv6MinimumMtu = 1280;
  const mtu = args.mtu === undefined ? DEFAULTS.mtu : parseMtu(args.mtu);
  if (mtu !== null && mtu < ipv6MinimumMtu && addresses.some(({ family }) => family === 6)) {
    throw usageError(`--mtu ${mtu}`, `is less than the ${ipv6MinimumMtu} that IPv6 needs`, 'a larger --mtu, or IPv4 addresses only');
  }
  const options = {
    type: args.type ?? null,
    netns: args.netns === undefined ? null : checkNetnsName(args.netns),
    addresses,
    hairpin: args.hairpin,
    mac: args.mac === undefined ? null : parseMac(args.mac),
    mtu,
    queues: args.queues === undefined ? DEFAULTS.queues : parseQueues(args.queues),
    ringBytes: args.ringSize === undefined ? DEFAULTS.ringBytes : parseRingSize(args.ringSize),
    queuePackets: args.queuePackets === undefined ? DEFAULTS.queuePackets : parseQueuePackets(args.queuePackets),
    budget: args.budget === undefined ? DEFAULTS.budget : parseBudget(args.budget),
    busyPollUs: args.busyPoll === undefined ? DEFAULTS.busyPollUs : parseBusyPoll(args.busyPoll),
    gro: args.gro === undefined ? DEFAULTS.gro : args.gro === 'on',
    whenFull: args.whenFull ?? null,
    lowWatermark: args.lowWatermark === undefined ? DEFAULTS.lowWatermark : parseWatermark(args.lowWatermark),
    replace: args.replace,
    hook: args.hook === undefined ? DEFAULTS.hook : absolutePath(args.hook, userDirectory()),
    onHookError: args.onHookError ?? DEFAULTS.onHookError,
  };
  requireOneQueueFor(options);
  return options;
}
