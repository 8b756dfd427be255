// SPDX-License-Identifier: MIT
/** `vnet-bpf attach`: in the foreground until a signal, or in the background. */
import type { Controller } from '../controller/controller';
import { commandAbout, named } from '../errors';
import { attachAll, attachInWords } from '../lifecycle/attach';
import { unloop } from '../lifecycle/teardown';
import { setCallersNetns } from '../link/netns';
import { parseListenAddress } from '../metrics/address';
import { leaveRemovedDirectory } from '../native/inherited';
import { returnFreedMemory } from '../native/libc';
import { notifyService } from '../native/sockets';
import { allNewsIsOut } from '../native/standard-streams';
import { printable } from '../printable';
import { requirePrivileges } from '../requirements';
import type { Attachment } from '../state/store';
import { jsonText, printSteps, reportError, tellMade, tellNotice } from '../terminal/output';
import { endSignals } from '../terminal/signals';
import { toOptions, type AttachArguments } from './arguments';
import { callersNetns, inBackground, reportReady } from './daemon';
import { startInBackground } from './daemon-launcher';
import { describeAttachment } from './list';

export async function attachCommand(args: AttachArguments): Promise<void> {
  const options = toOptions(args);
  const metricsAt = args.metrics === undefined ? null : parseListenAddress(args.metrics);
  if (args.dryRun)
    return printSteps([...new Set(args.iface.flatMap((name) => attachInWords(name, options)))], args.json);
  if (args.daemon && !inBackground()) return tellMade(await startInBackground());
  requirePrivileges();
  leaveRemovedDirectory();
  returnFreedMemory();
  // Signals are handled from the start: the end of a half-done attach removes what it has made.
  const signalled = new Promise<void>((resolve) => {
    for (const name of endSignals()) process.on(name, () => resolve());
  });
  const controllers: Controller[] = [];
  setCallersNetns(callersNetns());
  await attachAll(args.iface, options, metricsAt, controllers);
  setCallersNetns(null); // it may go from now on
  try {
    const detached = Promise.all(controllers.map(untilDetached));
    await notifyService('READY=1', `STATUS=${printable(args.iface.join(', '))} loops`);
    const output = ready(
      args,
      controllers.map(({ attachment }) => attachment),
    );
    const warnings = controllers
      .flatMap((controller) => controller.warnings())
      .map((warning) => printable(`vnet-bpf: ${warning}`));
    if (inBackground()) reportReady(output, warnings);
    else {
      tellMade(output);
      tellNotice(...warnings);
    }
    await Promise.race([signalled, detached]);
  } finally {
    // A service manager that does not receive this sees the process end.
    await notifyService('STOPPING=1').catch(() => undefined);
    await detachAll(controllers).catch((error: unknown) => endAnyway(error, controllers));
  }
  // Nothing else keeps the process alive, and neither may a library's timer or a reader that does not read.
  process.exit();
}

/** Ends the process although interfaces are left. What still loops would keep it alive. */
async function endAnyway(error: unknown, controllers: readonly Controller[]): Promise<never> {
  process.exitCode = reportError(error, process.argv.includes('--debug'));
  await allNewsIsOut();
  for (const { isClosing, attachment } of controllers) if (!isClosing) unloop(attachment);
  process.exit();
}

/**
 * Detaches all interfaces. One that cannot be removed completely does not keep the others; its error is thrown at the
 * end.
 */
async function detachAll(controllers: readonly Controller[]): Promise<void> {
  const failures: unknown[] = [];
  for (const controller of controllers) await controller.detach().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Resolves when nothing of the interface is left: it was detached by an order, or removed by others. */
function untilDetached(controller: Controller): Promise<void> {
  return new Promise((resolve) => {
    controller.once('detached', resolve);
    controller.once('gone', (why) => {
      process.exitCode = reportError(why, false);
      controller.detach().catch(() => resolve()); // detachAll() reports it
    });
  });
}

/** The output for interfaces that are ready. */
function ready(args: AttachArguments, attachments: readonly Attachment[]): string {
  if (args.json) {
    const documents = attachments.map(describeAttachment);
    return jsonText(documents.length === 1 ? documents[0] : documents);
  }
  // The command that waits for the background process prints this unchanged.
  const lines = attachments.map((attachment) => {
    const { iface, netns, pid } = attachment;
    const how = args.daemon ? `by process ${pid}; ${commandAbout('detach', attachment)} ends it` : 'until Ctrl-C';
    return `${named(iface, netns.name)} loops, ${how}`;
  });
  const url = attachments[0]?.metrics ?? null;
  return [...lines, ...(url === null ? [] : [`metrics at ${url}`])].map(printable).join('\n');
}
