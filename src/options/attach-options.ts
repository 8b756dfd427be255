// SPDX-License-Identifier: MIT
/**
 * The options of attach, one row each: their names on the command line and in the library, the values that they take,
 * and how their text is read. Both interfaces use the same checks, each in its own spelling.
 */
import { type AttachOptions, checkNetnsName, ON_HOOK_ERROR, oneOf, parseBudget, parseBusyPoll, parseCidr, parseMac, parseMtu, parseQueuePackets, parseQueues, parseRingSize, parseWatermark, type Place } from './values';

/** The type of a value in the library; `texts` is an array of strings. */
export type Kind = 'string' | 'number' | 'boolean' | 'texts' | 'URL';

type Choices = readonly string[];

export interface AttachOption {
  /** The option on the command line, without the dashes. */
  flag: string;
  /** The property of NicOptions. */
  name: string;
  /** The property of AttachOptions. An option with several values has the text of each read by itself. */
  key: keyof AttachOptions;
  /** Types that the library accepts. */
  kinds: readonly Kind[];
  /** The description in help, with the default in brackets, and the name of the value there; a flag has none. */
  describe: string;
  value?: string;
  choices?: Choices;
  /** What completion offers for the value. */
  offers?: 'namespaces' | 'files';
  /** Whether the option takes no value. */
  isFlag?: true;
  /** Reads a text. Throws a USAGE error that names the place. */
  read: (text: string, place: Place) => unknown;
  /** Converts a value of the library to the command line's text; String() by default. */
  asText?: (value: never) => string;
  /**
   * Converts the command line's text to how the library writes it in examples; by default quoted unless it is a number.
   */
  inLibrary?: (text: string) => string;
}

/** File names stay text here; resolving them differs: the command line uses the caller's directory. */
const asItIs = (text: string): string => text;
const isOn = (text: string): boolean => text === 'on';

const choice = (choices: Choices): Pick<AttachOption, 'choices' | 'read' | 'kinds'> => ({ choices, kinds: ['string'], read: (text, place) => oneOf(text, choices, place) });
const flag = { isFlag: true, kinds: ['boolean'], read: (text: string) => text === 'true' } as const;

export const ATTACH_OPTIONS: readonly AttachOption[] = [
  { flag: 'type', name: 'type', key: 'type', ...choice(['veth', 'dummy']), describe: 'kind of interface [veth]' },
  { flag: 'netns', name: 'netns', key: 'netns', kinds: ['string'], value: 'NAME', offers: 'namespaces', read: checkNetnsName, describe: 'network namespace to make it in' },
  { flag: 'addr', name: 'addresses', key: 'addresses', kinds: ['texts'], value: 'CIDR', read: parseCidr, describe: 'address with prefix length, looped; may be repeated' },
  { flag: 'hairpin', name: 'hairpin', key: 'hairpin', ...flag, describe: 'loop every address that the interface gets later, too' },
  { flag: 'mac', name: 'mac', key: 'mac', kinds: ['string'], value: 'MAC', read: parseMac, describe: 'Ethernet address; random unless given' },
  { flag: 'mtu', name: 'mtu', key: 'mtu', kinds: ['number'], value: 'N', read: parseMtu, describe: 'MTU in bytes [1500]' },
  { flag: 'queues', name: 'queues', key: 'queues', kinds: ['number'], value: 'N', read: parseQueues, describe: 'queues, each with a ring and a thread of its own; a flow keeps to one [1]' },
  { flag: 'ring-size', name: 'ringSize', key: 'ringBytes', kinds: ['number', 'string'], value: 'SIZE', read: parseRingSize, describe: 'size of the ring buffer of each queue, a power of two [8M]' },
  { flag: 'queue-packets', name: 'queuePackets', key: 'queuePackets', kinds: ['number'], value: 'N', read: parseQueuePackets, describe: 'limit each queue to so many frames, as a descriptor ring' },
  { flag: 'budget', name: 'budget', key: 'budget', kinds: ['number'], value: 'N', read: parseBudget, describe: 'frames per poll, 1 to 1024 [64]' },
  {
    flag: 'gro',
    name: 'gro',
    key: 'gro',
    choices: ['on', 'off'],
    kinds: ['boolean'],
    read: (text, place) => isOn(oneOf(text, ['on', 'off'], place)),
    asText: (value: boolean) => (value ? 'on' : 'off'),
    describe: 'merge neighbouring datagrams of a flow on their way back [on]',
  },
  { flag: 'busy-poll', name: 'busyPoll', key: 'busyPollUs', kinds: ['number', 'string'], value: 'USEC', read: parseBusyPoll, describe: 'microseconds for which the poller looks for frames before it sleeps [auto]' },
  { flag: 'when-full', name: 'whenFull', key: 'whenFull', ...choice(['hold', 'drop']), describe: 'frames that find the queue full wait, or are refused [hold]' },
  {
    flag: 'low-watermark',
    name: 'lowWatermark',
    key: 'lowWatermark',
    kinds: ['number'],
    value: 'P%',
    read: parseWatermark,
    asText: (value: number) => `${value}%`,
    inLibrary: (text) => text.replace('%', ''),
    describe: 'part of the queue at which it wakes [50%]',
  },
  { flag: 'hook', name: 'hook', key: 'hook', kinds: ['string', 'URL'], value: 'FILE', offers: 'files', read: asItIs, describe: 'file that sees each frame: TypeScript or JavaScript' },
  { flag: 'on-hook-error', name: 'onHookError', key: 'onHookError', ...choice(ON_HOOK_ERROR), describe: 'what becomes of a frame whose hook fails [pass]' },
  { flag: 'replace', name: 'replace', key: 'replace', ...flag, describe: 'detach the interface first if it is attached' },
];
