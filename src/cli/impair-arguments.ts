// SPDX-License-Identifier: MIT
/** The options of `impair`. */
import type { Argv } from './command-table';
import { flag, netnsOption } from './option-kinds';

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
