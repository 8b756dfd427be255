// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf extcap`: how Wireshark finds the attached interfaces and records one (its man page extcap(4)). Lists are
 * sentences of a word and `{name=value}`, one a line.
 */
import { requirePrivileges } from '../controller/privileges';
import { usageError, VnetError } from '../errors';
import { parseFilter } from '../filter/expression';
import { printable } from '../printable';
import { oneFile } from '../recording/output-files';
import { openPipeSink } from '../recording/sink';
import { named } from '../state/named';
import { allAttachments, isControlled, type Attachment } from '../state/store';
import type { ExtcapArguments } from './extcap-arguments';
import { install, requireInstallAlone } from './extcap-install';
import { print } from './output';
import { record, recorderOptions, version } from './record';
import { DEFAULT_BUFFER, MAX_SNAPLEN, MIN_SNAPLEN } from './record-arguments';

const PROGRAM = 'vnet-bpf';

export async function extcapCommand(args: ExtcapArguments): Promise<void> {
  if (args.install !== undefined) {
    requireInstallAlone(process.argv.slice(2));
    return install(args.install);
  }
  if (args.extcapInterfaces) return listInterfaces();
  if (args.extcapInterface === undefined) throw usageError('extcap', 'is for Wireshark, which says what it wants', 'vnet-bpf extcap --install lets it find the interfaces: docs/recording.md');
  if (args.extcapDlts) return print('dlt {number=1}{name=EN10MB}{display=Ethernet}');
  if (args.extcapConfig) return listOptions();
  // Asked without --capture, Wireshark takes what is printed as the reason why the filter is wrong.
  if (!args.capture) return checkFilter(args.extcapCaptureFilter);
  if (args.fifo === undefined) throw usageError('--capture', 'needs --fifo', 'Wireshark gives it');
  await capture(args.extcapInterface, args.fifo, args);
}

function checkFilter(expression: string | undefined): void {
  try {
    if (expression) parseFilter(expression);
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    print(error.message);
  }
}

/** As it is chosen in Wireshark, and by `tshark -i`: a name that no interface of the machine has. */
const nameOf = ({ iface, netns }: Attachment): string => inBraces(`${PROGRAM}-${iface}${netns.name === null ? '' : `@${netns.name}`}`);

/** What ends a value of such a sentence, or its line, is shown instead. */
const inBraces = (text: string): string => printable(text).replace(/[{}]/g, (brace) => `\\x${brace.charCodeAt(0).toString(16)}`);

/** Without root nothing can be seen, and nothing is listed: Wireshark asks each time that it starts. */
const running = (): Attachment[] => (process.geteuid?.() === 0 ? allAttachments().filter(isControlled) : []);

function listInterfaces(): void {
  print(`extcap {version=${version}}{display=vnet-bpf}`);
  for (const attachment of running()) print(`interface {value=${nameOf(attachment)}}{display=What vnet-bpf does to ${inBraces(named(attachment.iface, attachment.netns.name))}}`);
}

function listOptions(): void {
  print(`arg {number=0}{call=--snaplen}{display=Bytes of each frame}{type=unsigned}{range=${MIN_SNAPLEN},${MAX_SNAPLEN}}{default=${MAX_SNAPLEN}}`);
  print(`arg {number=1}{call=--buffer}{display=Buffer}{tooltip=Where frames wait for Wireshark: a power of two}{type=string}{default=${DEFAULT_BUFFER}}`);
}

async function capture(name: string, fifo: string, args: ExtcapArguments): Promise<void> {
  const options = recorderOptions({ ...args, count: undefined, filter: args.extcapCaptureFilter || undefined });
  requirePrivileges();
  const attachment = running().find((each) => nameOf(each) === name);
  if (!attachment) throw new VnetError('NOT_ATTACHED', `interface ${name}`, 'is not attached any more', { hint: 'refresh the list of interfaces (F5)' });
  // Wireshark does not read what it has stopped, and would show what is said about that.
  await record(attachment, oneFile(() => openPipeSink(fifo)), options, Infinity, { beforeExit: () => undefined });
  process.exit();
}
