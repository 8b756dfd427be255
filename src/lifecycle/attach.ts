// SPDX-License-Identifier: MIT
/**
 * Attaches the interfaces of a process. The steps of an attach run in order, and are undone completely if one of them
 * fails.
 */
import * as fs from 'node:fs';

import type { BpfMap } from 'libbpf-ts';

import { step } from '../control/fault';
import { Controller } from '../controller/controller';
import { spreadOf } from '../controller/polling';
import { type Datapath, loadPrograms, makeRings, openDatapath } from '../datapath/programs';
import { PollerThread } from '../datapath/worker-handle';
import type { Link } from '../link/links';
import { Netns } from '../link/netns';
import { attachmentIn, isIn } from '../link/netns-record';
import { type ListenAddress, servedAt } from '../metrics/address';
import type { MetricsServer } from '../metrics/server';
import type { AttachOptions } from '../options/attach-options';
import { makePinDirectory } from '../state/bpffs';
import { allAttachments, type Attachment, isControlled, lockEverything, saveAttachment } from '../state/store';
import { adopt, hookOf, requireControllerLock, wireNetnsOf } from './adopt';
import { detachAttachment } from './detach';
import { brokenOnes } from './find-attachment';
import { bringUp, makeInterface, requireIpv6For } from './make-interface';
import { plan, previousAttachment, requireAttachable, takeableLink } from './plan';
import { sweep, teardown } from './teardown';

/** Number of descriptors that teardown has open at once: locks, namespaces, and a socket or a directory. */
const SPARE = 12;

/** Descriptors kept in reserve, so that an attach that fails for want of descriptors can be undone. */
export class SpareDescriptors implements Disposable {
  private readonly fds: number[] = [];

  /**
   * Throws unless there are SPARE and `needed` more descriptors, before anything is begun. Not every step could tell
   * that it lacks descriptors: libbpf takes that for a kernel without some feature.
   */
  constructor(needed: number) {
    try {
      while (this.fds.length < SPARE + needed) this.fds.push(fs.openSync('/dev/null', 'r'));
    } catch (error) {
      this.close();
      throw error;
    }
    for (const fd of this.fds.splice(SPARE)) fs.closeSync(fd);
  }

  close(): void {
    for (const fd of this.fds.splice(0)) fs.closeSync(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Attaches and starts the loop; the interface is up and has its addresses when this resolves. */
export async function attach(iface: string, options: AttachOptions): Promise<Controller> {
  requireAttachable(options);
  using netns = Netns.named(options.netns);
  netns.run(() => requireIpv6For(iface, options));
  if (options.replace) await detachIfAttached(iface, netns, options.netns);
  using spare = new SpareDescriptors(DESCRIPTORS + options.queues * DESCRIPTORS_OF_QUEUE);
  using _lock = lockEverything();
  const found = clearTheWay(iface, netns, options);
  step('cleared');
  if (found.crashed) return await adopt(found.crashed, netns, options);
  const attachment = plan(iface, netns, options, found.existing);
  try {
    saveAttachment(attachment);
    step('planned');
    return await build(attachment, netns, options);
  } catch (error) {
    spare.close();
    teardown(attachment);
    throw error;
  }
}

async function detachIfAttached(iface: string, netns: Netns, netnsName: string | null): Promise<void> {
  const previous = attachmentIn(iface, netns) ?? brokenOnes(iface, netnsName)[0];
  if (previous) await detachAttachment(previous);
}

/**
 * Prepares the name for an attach. Returns a crashed attachment that is whole, to be adopted, or an interface that may
 * be taken; removes an attachment that is not whole; refuses a running one and an interface that is not ours.
 */
function clearTheWay(iface: string, netns: Netns, options: AttachOptions): { crashed?: Attachment; existing: Link | null } {
  const { crashed, broken } = previousAttachment(iface, netns, options);
  if (crashed) return { crashed, existing: null };
  if (broken) teardown(broken);
  sweep();
  return { existing: takeableLink(iface, netns, options) };
}

/** The most descriptors that making or adopting an attachment takes, and those for each of its queues. */
const DESCRIPTORS = 40;
const DESCRIPTORS_OF_QUEUE = 8;

async function build(attachment: Attachment, netns: Netns, options: AttachOptions): Promise<Controller> {
  const lock = requireControllerLock(attachment);
  // Runs on another thread while the interface is made. An error shows when the result is awaited.
  const loading = loadPrograms(attachment);
  loading.catch(() => undefined);
  let wireNetns: Netns | undefined;
  let rings: BpfMap[] = [];
  let datapath: Datapath | undefined;
  let controller: Controller | undefined;
  try {
    wireNetns = wireNetnsOf(attachment, netns);
    step('peer-netns');
    const pins = makePinDirectory(attachment.id);
    step('pin-directory');
    // The thread gets ready while the interface is made. A hook has a thread of its own.
    if (options.hook === null) PollerThread.start(attachment.queues, spreadOf(attachment));
    makeInterface(attachment, netns, wireNetns, options);
    rings = makeRings(attachment, pins);

    datapath = openDatapath(attachment, await loading, rings, pins, netns, wireNetns);
    attachment.attach = datapath.links.tx.kind;
    attachment.links = datapath.linkStates();
    saveAttachment(attachment);
    step('datapath');

    controller = new Controller({ attachment, datapath, lock, wireNetns, hairpinAll: options.hairpin, teardown });
    await controller.start(hookOf(options, attachment));
    step('started');
    const up = netns.run(() => bringUp(attachment, options));
    step('up');
    attachment.phase = 'running';
    saveAttachment(attachment);
    step('running');
    controller.watchLink(up, 'loaded');
    return controller;
  } catch (error) {
    await controller?.abandon();
    PollerThread.endIfUnused();
    await loading.then((object) => object.close(), () => undefined);
    for (const ring of rings) ring.close();
    datapath?.close();
    wireNetns?.close();
    lock.close();
    throw error;
  }
}

// All interfaces of one process, with the server of their metrics.

/**
 * Attaches all interfaces and starts the server of their metrics, or nothing at all. `controllers` has those that are
 * attached so far, for a caller that is interrupted.
 */
export async function attachAll(names: readonly string[], options: AttachOptions, metricsAt: ListenAddress | null, controllers: Controller[]): Promise<void> {
  const listen = (): Promise<MetricsServer> | null =>
    metricsAt && (require('../metrics/server') as typeof import('../metrics/server')).serveMetrics(metricsAt, controllers);
  // Listens before anything is made or replaced, unless an interface that is to be replaced may have the port.
  let server = metricsAt && options.replace && isFreedByReplacing(names, options, metricsAt) ? null : await listen();
  try {
    for (const name of names) controllers.push(await attach(name, options));
    server ??= await listen();
    const { url } = server ?? { url: null };
    if (url !== null) for (const controller of controllers) controller.servesMetrics(url);
    // Ends the server before the caller that detached the last interface is told so.
    const endWithLast = (): void => (controllers.every(({ isClosing }) => isClosing) ? server?.close() : undefined);
    for (const controller of controllers) controller.once('detached', endWithLast);
  } catch (error) {
    server?.close();
    for (const controller of controllers) await controller.detach();
    throw error;
  }
}

/**
 * Whether the address belongs to a process that ends when these interfaces are replaced. One that loops others, too,
 * goes on.
 */
function isFreedByReplacing(names: readonly string[], { netns: name }: AttachOptions, address: ListenAddress): boolean {
  using netns = Netns.named(name);
  const served = allAttachments().filter((each) => each.metrics !== null && servedAt(each.metrics, address) && isControlled(each));
  return served.length > 0 && served.every((each) => isIn(netns)(each) && names.includes(each.iface));
}
