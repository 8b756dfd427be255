// SPDX-License-Identifier: MIT
/** `vnet-bpf detach`. */
import { detach, detachAttachment, sweepTraces } from '../controller/detach';
import { requireAttachment } from '../controller/find-attachment';
import { detachSteps } from '../controller/detach-steps';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { usageError } from '../errors';
import { allAttachments } from '../state/store';
import { print, printSteps } from './output';

export async function detachCommand(args: { iface?: string; netns?: string | undefined; all: boolean; dryRun: boolean }): Promise<void> {
  if (args.all) {
    if (args.iface !== undefined) throw usageError('detach', 'give an interface or --all, not both', 'vnet-bpf list shows those attached');
    requirePrivileges();
    if (args.dryRun) return printSteps(detachSteps(allAttachments()), false);
    for (const attachment of allAttachments()) {
      await detachAttachment(attachment);
      print(`${attachment.iface} detached`);
    }
    sweepTraces();
    return;
  }
  if (args.iface === undefined) throw usageError('detach', 'which interface?', 'vnet-bpf list shows those attached; --all takes them all');
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  if (args.dryRun) {
    requirePrivileges();
    return printSteps(detachSteps([requireAttachment(args.iface, netns)]), false);
  }
  await detach(args.iface, netns);
  print(`${args.iface} detached`);
}
