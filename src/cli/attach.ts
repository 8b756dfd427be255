// SPDX-License-Identifier: MIT
/** `vnet-bpf attach`: in the foreground until a signal, or in the background. */
import type { Controller } from '../controller/controller';
import { VnetError } from '../errors';
import { readAttachment } from '../state/store';
import { toOptions, type AttachArguments } from './attach-arguments';
import { IN_BACKGROUND, reportReady, startInBackground } from './background';
import { describeAttachment } from './list';
import { print, printJson, reportError } from './output';

export async function attachCommand(args: AttachArguments): Promise<void> {
  const options = toOptions(args);
  if (args.daemon && !process.env[IN_BACKGROUND]) {
    const id = await startInBackground();
    ready(args, id);
    return;
  }
  // Not loaded by the process that only waits for the one in the background.
  const [{ attach }, { requirePrivileges }] = await Promise.all([import('../controller/attach.js'), import('../controller/privileges.js')]);
  requirePrivileges();
  // Signals count from the start: what a half-done attach has made is removed by its end.
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve(name));
  });
  const controller = await attach(args.iface, options);
  if (process.env[IN_BACKGROUND]) reportReady(controller.attachment.id);
  else ready(args, controller.attachment.id);
  const gone = new Promise<VnetError>((resolve) => controller.once('gone', resolve));
  const end = await Promise.race([signalled, gone]);
  await finish(controller, end);
}

async function finish(controller: Controller, end: NodeJS.Signals | VnetError): Promise<void> {
  await controller.detach();
  if (end instanceof VnetError) process.exitCode = reportError(end, false);
  // Nothing else keeps the process, but a library's timer must not either.
  process.exit();
}

function ready(args: AttachArguments, id: string): void {
  const attachment = readAttachment(id);
  if (!attachment) throw new VnetError('INTERFACE_GONE', `interface ${args.iface}`, 'was detached at once');
  if (args.json) printJson(describeAttachment(attachment));
  else {
    const { iface, netns, pid } = attachment;
    const how = args.daemon ? `by process ${pid}; vnet-bpf detach ${iface}${netns.name === null ? '' : ` --netns ${netns.name}`} ends it` : 'until Ctrl-C';
    print(`${iface}${netns.name === null ? '' : ` in namespace ${netns.name}`} loops, ${how}`);
  }
}
