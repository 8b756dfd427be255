// SPDX-License-Identifier: MIT
/** The options of `run`, as yargs knows them. */
import type { Argv } from 'yargs';

import type { OnHookError } from '../hooks/contract';

export interface RunArguments {
  addr: string[] | undefined;
  hook: string | undefined;
  onHookError: OnHookError | undefined;
  impair: string | undefined;
  stats: string | undefined;
  json: boolean;
}

export function runOptions(y: Argv): Argv {
  const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;
  return y
    .usage('$0 run [options] -- COMMAND [ARGS...]\n\nRuns a command in a network namespace of its own, with a looping vnet0 in it.')
    .option('addr', { ...text('address with prefix length, looped; may be repeated [10.77.0.1/24 fd77::1/64]'), array: true, nargs: 1 })
    .option('hook', text('file that sees each frame: TypeScript or JavaScript'))
    .option('on-hook-error', { choices: ['pass', 'drop', 'detach'] as const, requiresArg: true, describe: 'what becomes of a frame whose hook fails [pass]' })
    .option('impair', text('a bad wire, in the words of impair: "delay 20ms loss 1%"'))
    .option('stats', text('file for the counters, instead of standard error'))
    .option('json', { type: 'boolean', default: false, describe: 'the counters as the JSON document of stats --json' })
    .example('$0 run -- ping -c 3 10.77.0.1', 'three pings through the loop');
}
