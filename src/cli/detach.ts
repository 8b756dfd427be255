// SPDX-License-Identifier: MIT
/** `vnet-bpf detach`. */
import { locate } from '../controller/broken';
import { detach, detachAttachment, sweepTraces } from '../controller/detach';
import { attachmentsOfNetns, brokenOnes, requireNamed } from '../controller/find-attachment';
import { detachSteps } from '../controller/detach-steps';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { usageError } from '../errors';
import { everyAttachment, isBroken, type Attachment, type BrokenAttachment } from '../state/store';
import { printSteps, reportError, tell } from './output';

export async function detachCommand(args: { iface?: string; netns?: string | undefined; all: boolean; dryRun: boolean }): Promise<void> {
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  if (args.all) {
    if (args.iface !== undefined) throw usageError('detach', 'give an interface or --all, not both', 'vnet-bpf list shows those attached');
    requirePrivileges();
    const all = netns === null ? everyAttachment() : [...attachmentsOfNetns(netns), ...brokenOnes(null, netns)];
    return args.dryRun ? printSteps(detachSteps(all.map(known)), false) : detachAll(all);
  }
  if (args.iface === undefined) throw usageError('detach', 'which interface?', 'vnet-bpf list shows those attached; --all takes them all');
  checkInterfaceName(args.iface);
  if (args.dryRun) {
    requirePrivileges();
    return printSteps(detachSteps([known(requireNamed(args.iface, netns))]), false);
  }
  await detach(args.iface, netns);
  tell(`${args.iface} detached`);
}

const known = (attachment: Attachment | BrokenAttachment): Attachment => (isBroken(attachment) ? locate(attachment).attachment : attachment);

/** Each of them: one that cannot be detached does not keep the others. */
async function detachAll(all: readonly (Attachment | BrokenAttachment)[]): Promise<void> {
  const named = all.map((attachment) => ({ attachment, ...known(attachment) })).sort((a, b) => Number(a.iface > b.iface) - Number(a.iface < b.iface));
  for (const { attachment, iface } of named) {
    try {
      await detachAttachment(attachment);
      tell(`${iface} detached`);
    } catch (error) {
      process.exitCode = reportError(error, false);
    }
  }
  sweepTraces();
}
