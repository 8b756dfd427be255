// SPDX-License-Identifier: MIT
/** `vnet-bpf detach`. */
import { messageOf, nothingIsAttached, usageError } from '../errors';
import { detach, detachAttachment, detachInWords, sweepTraces } from '../lifecycle/detach';
import { attachmentsOfNetns, brokenOnes, known, requireNamed } from '../lifecycle/find-attachment';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { requirePrivileges } from '../requirements';
import { everyAttachment, type Attachment, type BrokenAttachment } from '../state/store';
import { jsonText, printSteps, reportError, tell, tellMade } from '../terminal/output';

interface DetachArguments {
  iface: string | undefined;
  netns: string | undefined;
  all: boolean;
  dryRun: boolean;
  json: boolean;
}

/** What `detach --json` prints for an interface; with `--all` it prints an array of them. */
export interface Detached {
  interface: string;
  netns: string | null;
  detached: boolean;
  /** Why it was not detached; null if it was. */
  error: string | null;
}

export async function detachCommand(args: DetachArguments): Promise<void> {
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  if (args.all) {
    if (args.iface !== undefined)
      throw usageError('detach', 'give an interface or --all, not both', 'vnet-bpf list shows those attached');
    requirePrivileges();
    const all = netns === null ? everyAttachment() : [...attachmentsOfNetns(netns), ...brokenOnes(null, netns)];
    return args.dryRun ? printSteps(detachInWords(all.map(known)), args.json) : detachAll(all, netns, args.json);
  }
  if (args.iface === undefined)
    throw usageError('detach', 'which interface?', 'vnet-bpf list shows those attached; --all takes them all');
  checkInterfaceName(args.iface);
  if (args.dryRun) {
    requirePrivileges();
    return printSteps(detachInWords([known(requireNamed(args.iface, netns))]), args.json);
  }
  await detach(args.iface, netns);
  if (args.json) tellMade(jsonText({ interface: args.iface, netns, detached: true, error: null } satisfies Detached));
  else tell(`${args.iface} detached`);
}

/** Detaches all of them: one that cannot be detached does not keep the others. */
async function detachAll(
  all: readonly (Attachment | BrokenAttachment)[],
  netns: string | null,
  json: boolean,
): Promise<void> {
  const done: Detached[] = [];
  const named = all
    .map((attachment) => ({ attachment, ...known(attachment) }))
    .sort((a, b) => Number(a.iface > b.iface) - Number(a.iface < b.iface));
  for (const { attachment, iface, netns: place } of named) {
    try {
      await detachAttachment(attachment);
      done.push({ interface: iface, netns: place.name, detached: true, error: null });
      if (!json) tell(`${iface} detached`);
    } catch (error) {
      process.exitCode = reportError(error, false);
      done.push({ interface: iface, netns: place.name, detached: false, error: messageOf(error) });
    }
  }
  sweepTraces();
  if (all.length === 0 && !json) tell(nothingIsAttached(netns));
  if (json) tellMade(jsonText(done));
}
