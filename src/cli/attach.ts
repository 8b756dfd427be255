// SPDX-License-Identifier: MIT
/** `vnet-bpf attach`: in the foreground until a signal, or in the background. */
import type { Controller } from '../controller/controller';
import type { AttachOptions } from '../controller/options';
import { VnetError } from '../errors';
import { readAttachment } from '../state/store';
import { toOptions, type AttachArguments } from './attach-arguments';
import { IN_BACKGROUND, reportReady, startInBackground } from './background';
import { describeAttachment } from './list';
import { print, printJson, reportError } from './output';

export async function attachCommand(args: AttachArguments): Promise<void> {
  const options = toOptions(args);
  if (args.daemon && !process.env[IN_BACKGROUND]) {
    ready(args, await startInBackground());
    return;
  }
  // Not loaded by the process that only waits for the one in the background.
  const { requirePrivileges } = await import('../controller/privileges.js');
  requirePrivileges();
  // Signals count from the start: what a half-done attach has made is removed by its end.
  const signalled = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve());
  });
  const controllers = await attachAll(args.iface, options);
  const ids = controllers.map(({ attachment }) => attachment.id);
  if (process.env[IN_BACKGROUND]) reportReady(ids);
  else ready(args, ids);
  await Promise.race([signalled, Promise.all(controllers.map(untilDetached))]);
  for (const controller of controllers) await controller.detach();
  // Nothing else keeps the process, but a library's timer must not either.
  process.exit();
}

/** All of them or none. */
async function attachAll(names: readonly string[], options: AttachOptions): Promise<Controller[]> {
  const { attach } = await import('../controller/attach.js');
  const controllers: Controller[] = [];
  try {
    for (const name of names) controllers.push(await attach(name, options));
    return controllers;
  } catch (error) {
    for (const controller of controllers) await controller.detach();
    throw error;
  }
}

/** Resolves when nothing is left of it: somebody asked for that, or took the interface away. */
function untilDetached(controller: Controller): Promise<void> {
  controller.once('gone', (why) => {
    process.exitCode = reportError(why, false);
    void controller.detach();
  });
  return new Promise((resolve) => controller.once('detached', resolve));
}

function ready(args: AttachArguments, ids: readonly string[]): void {
  const attachments = ids.map((id) => {
    const attachment = readAttachment(id);
    if (!attachment) throw new VnetError('INTERFACE_GONE', `interface ${args.iface.join(', ')}`, 'was detached at once');
    return attachment;
  });
  if (args.json) {
    const documents = attachments.map(describeAttachment);
    return printJson(documents.length === 1 ? documents[0] : documents);
  }
  for (const { iface, netns, pid } of attachments) {
    const how = args.daemon ? `by process ${pid}; vnet-bpf detach ${iface}${netns.name === null ? '' : ` --netns ${netns.name}`} ends it` : 'until Ctrl-C';
    print(`${iface}${netns.name === null ? '' : ` in namespace ${netns.name}`} loops, ${how}`);
  }
}
