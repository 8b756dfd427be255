// SPDX-License-Identifier: MIT
/** Attaches the interfaces of one process, with the server of their metrics. */
import { Netns } from '../link/netns';
import { servedAt, type ListenAddress } from '../metrics/address';
import type { MetricsServer } from '../metrics/server';
import { allAttachments, isControlled } from '../state/store';
import { attach } from './attach';
import { isIn } from './attachment-netns';
import type { Controller } from './controller';
import type { AttachOptions } from './options';

/** All of them and the server of their metrics, or none. What is there already is in `controllers`, for whoever is interrupted. */
export async function attachAll(names: readonly string[], options: AttachOptions, metricsAt: ListenAddress | null, controllers: Controller[]): Promise<void> {
  const listen = (): Promise<MetricsServer> | null =>
    metricsAt && (require('./serve-metrics') as typeof import('./serve-metrics')).serveMetrics(metricsAt, controllers);
  // Before anything is made or replaced; but one that is replaced may have the port.
  let server = metricsAt && options.replace && isFreedByReplacing(names, options, metricsAt) ? null : await listen();
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

/** Whether a process serves metrics there that ends when these interfaces are replaced: one that loops others, too, goes on. */
function isFreedByReplacing(names: readonly string[], { netns: name }: AttachOptions, address: ListenAddress): boolean {
  using netns = Netns.named(name);
  const served = allAttachments().filter((each) => each.metrics !== null && servedAt(each.metrics, address) && isControlled(each));
  return served.length > 0 && served.every((each) => isIn(netns)(each) && names.includes(each.iface));
}
