// SPDX-License-Identifier: MIT
/** Options that several commands have, and the kinds that most are of. */
import type { Declared } from './command-table';

/** Takes a value, which help calls so. */
export const text = (describe: string, value?: string) => ({ type: 'string', requiresArg: true, describe, ...(value !== undefined && { value }) }) as const;
/** Is given or not. */
export const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const;

export const netnsOption = text('network namespace of the interface', 'NAME');
/** Of commands that look at frames. */
export const filterOption = text('only frames that match, in tcpdump\'s syntax: "tcp port 80 and not arp"', 'EXPRESSION');
export const jsonOption = flag('print one JSON document');
/** Every command takes these. */
export const GLOBAL_OPTIONS: ReadonlyMap<string, Declared> = new Map<string, Declared>([
  ['debug', flag('show stack traces and verifier logs')],
  ['help', { type: 'boolean', alias: 'h', describe: 'show help' }],
  ['version', { type: 'boolean', alias: 'V', describe: 'show the version' }],
]);
