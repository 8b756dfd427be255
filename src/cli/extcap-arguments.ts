// SPDX-License-Identifier: MIT
/** The options of `extcap`: those that Wireshark calls such a program with. */
import type { Argv } from './command-table';
import { flag, text } from './option-kinds';
import { DEFAULT_BUFFER, MAX_SNAPLEN } from './record-arguments';

export interface ExtcapArguments {
  extcapInterfaces: boolean;
  extcapInterface: string | undefined;
  extcapDlts: boolean;
  extcapConfig: boolean;
  extcapCaptureFilter: string | undefined;
  capture: boolean;
  fifo: string | undefined;
  snaplen: string;
  buffer: string;
  install: string | undefined;
}

export function extcapOptions(y: Argv): Argv {
  return y
    .option('install', { type: 'string', describe: 'put a program into DIRECTORY, or where your Wireshark looks, that calls this command' })
    .option('extcap-interfaces', flag('list the attached interfaces'))
    .option('extcap-version', text('version of Wireshark'))
    .option('extcap-interface', text('the interface that is meant'))
    .option('extcap-dlts', flag('say which link type it has'))
    .option('extcap-config', flag('say which options it has'))
    .option('extcap-capture-filter', text('capture filter, in tcpdump\'s syntax'))
    .option('capture', flag('record it, until Wireshark ends this'))
    .option('fifo', text('pipe to write to'))
    .option('snaplen', { ...text('as of record'), default: String(MAX_SNAPLEN) })
    .option('buffer', { ...text('as of record'), default: DEFAULT_BUFFER });
}
