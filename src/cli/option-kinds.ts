// SPDX-License-Identifier: MIT
/** Options that several commands have, and the kinds that most are of, as yargs wants them. */

/** Takes a value. */
export const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;
/** Is given or not. */
export const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const;

export const netnsOption = text('network namespace of the interface');
/** Of commands that look at frames. */
export const filterOption = text('only frames that match, in tcpdump\'s syntax: "tcp port 80 and not arp"');
export const jsonOption = flag('print one JSON document');
/** Of commands that put a hook on what they make. */
export const hookOptions = {
  hook: text('file that sees each frame: TypeScript or JavaScript'),
  'on-hook-error': { choices: ['pass', 'drop', 'detach'] as const, requiresArg: true, describe: 'what becomes of a frame whose hook fails [pass]' },
} as const;

/** How yargs reads arguments: all of them are text, and there is no --no-OPTION. */
export const PARSER = { 'boolean-negation': false, 'parse-positional-numbers': false, 'parse-numbers': false };
