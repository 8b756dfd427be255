// SPDX-License-Identifier: MIT
/** `vnet-bpf detach`. */
import { detach, detachAttachment, sweepTraces } from '../controller/detach';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { usageError } from '../errors';
import { allAttachments } from '../state/store';
import { print } from './output';

export async function detachCommand(args: { iface?: string; netns?: string | undefined; all: boolean }): Promise<void> {
  if (args.all) {
    if (args.iface !== undefined) throw usageError('detach', 'give an interface or --all, not both', 'vnet-bpf list shows those attached');
    requirePrivileges();
    for (const attachment of allAttachments()) {
      await detachAttachment(attachment);
      print(`${attachment.iface} detached`);
    }
    sweepTraces();
    return;
  }
  if (args.iface === undefined) throw usageError('detach', 'which interface?', 'vnet-bpf list shows those attached; --all takes them all');
  checkInterfaceName(args.iface);
  await detach(args.iface, args.netns === undefined ? null : checkNetnsName(args.netns));
  print(`${args.iface} detached`);
}
