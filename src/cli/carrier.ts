// SPDX-License-Identifier: MIT
/** `vnet-bpf carrier`: takes the carrier of an interface away and restores it, as pulling out a cable does. */
import { ControlClient } from '../control/socket';
import { carrierEnd } from '../controller/carrier';
import { commandFor, usageError } from '../errors';
import { TIME, WrongValue } from '../faults/units';
import { requireAttachment } from '../lifecycle/find-attachment';
import { monotonicMs } from '../native/clock';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { requirePrivileges } from '../requirements';
import { controlSocket, type Attachment } from '../state/store';
import { print, printJson, tell } from '../terminal/output';
import { lossText } from './stats';

interface CarrierArguments {
  iface: string;
  direction: 'down' | 'up' | undefined;
  for: string | undefined;
  netns: string | undefined;
  json: boolean;
}

export async function carrierCommand(args: CarrierArguments): Promise<void> {
  const { direction, json } = args;
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const forMs = args.for === undefined ? null : timeOf(args.for);
  const typed = (...words: string[]): string => commandFor('carrier', args.iface, netns, ...words);
  if (forMs !== null && direction !== 'down') throw usageError('--for', 'goes with down', typed('down', '--for 2s'));
  if (json && direction !== undefined) throw usageError('--json', 'shows the state', typed('--json'));
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  carrierEnd(attachment);
  if (direction === undefined) return show(attachment, json);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  await client.ask({ order: 'carrier', direction, forMs });
  tell(
    direction === 'up'
      ? `${attachment.iface} has its carrier`
      : `${attachment.iface} has no carrier, ${forMs === null ? `until ${typed('up')}` : `for ${args.for}`}`,
  );
}

function timeOf(text: string): number {
  try {
    return TIME.read(text);
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    throw usageError(`--for "${text}"`, error.message, TIME.hint);
  }
}

function show({ iface, netns, carrierLost }: Attachment, json: boolean): void {
  if (json)
    return printJson({
      interface: iface,
      netns: netns.name,
      carrier: carrierLost ? 'down' : 'up',
      leftMs: leftOf(carrierLost),
    });
  print(carrierLost ? `${iface} has no carrier, ${lossText(carrierLost)}` : `${iface} has its carrier`);
}

/** Milliseconds until the carrier is restored; null if that takes an order, or if it is there. */
const leftOf = (lost: Attachment['carrierLost']): number | null =>
  lost === null || lost.until === null ? null : Math.max(0, lost.until - monotonicMs());
