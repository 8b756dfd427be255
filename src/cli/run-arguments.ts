// SPDX-License-Identifier: MIT
/** The options of `run`. */
import type { OnHookError } from '../hooks/contract';
import { attachOptions } from './attach-arguments';
import type { Argv } from './command-table';
import { flag, text } from './option-kinds';

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
