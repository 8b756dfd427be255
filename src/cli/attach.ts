// SPDX-License-Identifier: MIT
/** `vnet-bpf attach`: in the foreground until a signal, or in the background. */
import { attach } from '../controller/attach';
import { attachSteps } from '../controller/attach-steps';
import type { Controller } from '../controller/controller';
import type { AttachOptions } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { parseListenAddress, type ListenAddress } from '../metrics/address';
import type { MetricsServer } from '../metrics/server';
import { notifyService } from '../native/service-notify';
import { named } from '../state/named';
import type { Attachment } from '../state/store';
import { toOptions, type AttachArguments } from './attach-arguments';
import { inBackground, reportReady, startInBackground } from './background';
import { describeAttachment } from './list';
import { jsonText, print, printSteps, reportError } from './output';

export async function attachCommand(args: AttachArguments): Promise<void> {
  const options = toOptions(args);
  const metricsAt = args.metrics === undefined ? null : parseListenAddress(args.metrics);
  if (args.dryRun) return printSteps([...new Set(args.iface.flatMap((name) => attachSteps(name, options)))], args.json);
  if (args.daemon && !inBackground()) return print(await startInBackground());
  requirePrivileges();
  // Signals count from the start: what a half-done attach has made is removed by its end.
  const signalled = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve());
  });
  const controllers: Controller[] = [];
  await attachAll(args.iface, options, metricsAt, controllers);
  try {
    const detached = Promise.all(controllers.map(untilDetached));
    await notifyService('READY=1', `STATUS=${args.iface.join(', ')} loops`);
    const output = ready(args, controllers.map(({ attachment }) => attachment));
    if (inBackground()) reportReady(output);
    else print(output);
    await Promise.race([signalled, detached]);
  } finally {
    // A service manager that does not hear of it sees the process end.
    await notifyService('STOPPING=1').catch(() => undefined);
    for (const controller of controllers) await controller.detach();
  }
  // Nothing else keeps the process, but a library's timer must not either.
  process.exit();
}

/** All of them and the server of their metrics, or none. */
async function attachAll(names: readonly string[], options: AttachOptions, metricsAt: ListenAddress | null, controllers: Controller[]): Promise<void> {
  const listen = (): Promise<MetricsServer> | null =>
    metricsAt && (require('./metrics') as typeof import('./metrics')).serveMetrics(metricsAt, controllers);
  // Before anything is made; but one that is replaced may have the port.
  let server = options.replace ? null : await listen();
  try {
    for (const name of names) controllers.push(await attach(name, options));
    server ??= await listen();
    const { url } = server ?? { url: null };
    if (url !== null) for (const controller of controllers) controller.servesMetrics(url);
    // Before whoever detached the last one is told so.
    const endWithLast = (): void => (controllers.every(({ isClosing }) => isClosing) ? server?.close() : undefined);
    for (const controller of controllers) controller.once('detached', endWithLast);
  } catch (error) {
    server?.close();
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

/** What the user is told of it. */
function ready(args: AttachArguments, attachments: readonly Attachment[]): string {
  if (args.json) {
    const documents = attachments.map(describeAttachment);
    return jsonText(documents.length === 1 ? documents[0] : documents);
  }
  const lines = attachments.map(({ iface, netns, pid }) => {
    const how = args.daemon ? `by process ${pid}; vnet-bpf detach ${iface}${netns.name === null ? '' : ` --netns ${netns.name}`} ends it` : 'until Ctrl-C';
    return `${named(iface, netns.name)} loops, ${how}`;
  });
  const url = attachments[0]?.metrics ?? null;
  return [...lines, ...(url === null ? [] : [`metrics at ${url}`])].join('\n');
}
