// SPDX-License-Identifier: MIT
/** `vnet-bpf impair`: delay, loss and the like on the reinject path, by the kernel's netem. */
import { ControlClient } from '../control/socket';
import { impairableEnd } from '../controller/impairing';
import { readStats } from '../datapath/stats';
import { commandFor, usageError } from '../errors';
import { tcWords } from '../impair/settings';
import { checkedWords } from '../impair/words';
import { requireAttachment } from '../lifecycle/find-attachment';
import { netemCommands, readNetem } from '../link/netem';
import { openPeerNetns } from '../link/netns';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { requirePrivileges } from '../requirements';
import { controlSocket, impairedBy, type Attachment } from '../state/store';
import { print, printJson, tell } from '../terminal/output';

interface ImpairArguments {
  iface: string;
  words: string[] | undefined;
  netns: string | undefined;
  clear: boolean;
  show: boolean;
  dryRun: boolean;
  json: boolean;
}

export async function impairCommand(args: ImpairArguments): Promise<void> {
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const words = checkWords(args);
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  const end = impairableEnd(attachment);
  const present = wordsInPlace(attachment, end);
  if (args.show) return show(attachment, present, args.json);
  if (args.dryRun) {
    const commands = netemCommands(end, present !== null, words && tcWords(words, attachment.queues));
    const line = attachment.queues === 1 && words?.includes('queue');
    return print(...commands, ...(line ? ['# queue: the poller does it; tc has no such word'] : []));
  }
  using client = await ControlClient.connect(controlSocket(attachment.id));
  await client.ask({ order: 'impair', words });
  tell(sentence(requireAttachment(args.iface, netns), words));
}

/** The words to put in place, checked; null to remove or show them. */
function checkWords({ iface, netns, words = [], clear, show, json, dryRun }: ImpairArguments): string[] | null {
  const what = `impair ${iface}`;
  const unknown = words.find((word) => word.startsWith('--'));
  if (unknown !== undefined)
    throw usageError(unknown, 'is not an option of impair', 'vnet-bpf impair --help shows those that are');
  if ([words.length > 0, clear, show].filter(Boolean).length !== 1) {
    throw usageError(
      what,
      'give what to do to frames, or --clear, or --show',
      commandFor('impair', iface, netns ?? null, 'delay 20ms loss 1%'),
    );
  }
  if (json && !show) throw usageError('--json', 'goes with --show', 'add --show, or leave --json out');
  if (dryRun && show) throw usageError('--dry-run', '--show changes nothing', 'leave --dry-run out');
  return words.length > 0 ? checkedWords(words) : null;
}

/** The words of the record, unless the qdisc has been removed. */
function wordsInPlace({ impairment }: Attachment, end: string): string[] | null {
  if (impairedBy(impairment) === 'faults') return impairment?.words ?? null;
  using netns = openPeerNetns();
  return impairment?.words && netns?.run(() => readNetem(end)) ? impairment.words : null;
}

function show(attachment: Attachment, words: string[] | null, json: boolean): void {
  if (!json) return print(sentence(attachment, words));
  const { interface: name, netns, impair, impairedBy: by } = readStats(attachment);
  printJson({ interface: name, netns, words: words?.join(' ') ?? null, by, ...impair });
}

const sentence = ({ iface, impairment }: Attachment, words: readonly string[] | null): string =>
  words
    ? `${iface} is impaired: ${words.join(' ')}${impairedBy(impairment) === 'faults' ? ' (by rules: this kernel has no netem)' : ''}`
    : `${iface} is not impaired`;
