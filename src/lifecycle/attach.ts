// SPDX-License-Identifier: MIT
/**
 * Attaches the interfaces of a process: makes each in steps, which are undone completely if one of them fails. Also
 * lists the steps, for `attach --dry-run`.
 */
import * as fs from 'node:fs';

import { type BpfMap, kernelIsAtLeast } from 'libbpf-ts';

import type { Controller } from '../controller/controller';
import { spreadOf } from '../controller/polling';
import {
  loadPrograms,
  makeRings,
  merges,
  objectFile,
  openDatapath,
  requireLibbpf,
  requireObject,
} from '../datapath/programs';
import { PollerThread } from '../datapath/worker-handle';
import { messageOf, named } from '../errors';
import { roomFrameCost } from '../link/credit';
import { createDummy, nameDummy } from '../link/dummy';
import { correctFeatures, loopable, resegmentMerged } from '../link/features';
import { type Link, transmittedFramesOf } from '../link/links';
import { Netns, openPeerNetns } from '../link/netns';
import { isIn } from '../link/netns-record';
import { createRoom } from '../link/room';
import { createVeth, DEFAULT_MTU, randomMac } from '../link/veth';
import { type ListenAddress, servedAt } from '../metrics/address';
import type { MetricsServer } from '../metrics/server';
import type { AttachOptions } from '../options/attach-options';
import { passesUdpGso } from '../requirements';
import { bpffsIsMounted, makePinDirectory } from '../state/bpffs';
import {
  allAttachments,
  type Attachment,
  type BrokenAttachment,
  isControlled,
  lockEverythingSoon,
  saveAttachment,
} from '../state/store';
import { adoptingSteps, loopingSteps, type Making, opening } from './adopt';
import { detachAttachment, removal } from './detach';
import { brokenOnes, known } from './find-attachment';
import { attachmentCalled } from './its-link';
import { plan, previousAttachment, requireAddressesFor, requireAttachable, requireName, takeableLink } from './plan';
import { inWords, runStep, runSteps, type Step } from './steps';
import { sweep, teardown } from './teardown';

/** Number of descriptors that teardown has open at once: locks, namespaces, and a socket or a directory. */
const SPARE = 12;

/** Descriptors kept in reserve, so that an attach that fails for lack of descriptors can be undone. */
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

/** The most descriptors that making or adopting an attachment takes, and those for each of its queues. */
const DESCRIPTORS = 40;
const DESCRIPTORS_OF_QUEUE = 8;

/** Attaches and starts the loop; the interface is up and has its addresses when this resolves. */
export async function attach(iface: string, options: AttachOptions): Promise<Controller> {
  requireAttachable(options);
  using netns = Netns.named(options.netns);
  netns.run(() => requireAddressesFor(iface, options));
  const replaced = options.replace ? attachmentNamed(iface, netns, options) : null;
  if (replaced) {
    requireName(iface, netns, options, known(replaced));
    await detachAttachment(replaced);
  }
  using spare = new SpareDescriptors(DESCRIPTORS + options.queues * DESCRIPTORS_OF_QUEUE);
  // Starts the threads of Node's pool, which ends the process if it cannot: before anything is recorded.
  await fs.promises.access('/');
  using _lock = await lockEverythingSoon();
  const { crashed, existing } = await runStep({ name: 'cleared', run: () => clearTheWay(iface, netns, options) });
  const attachment = crashed ?? plan(iface, netns, options, existing);
  const making: Making = { attachment, netns, options };
  const planned: Step = {
    name: 'planned',
    run: () => {
      saveAttachment(attachment);
      // Runs on another thread while the interface is made. An error shows when the result is awaited.
      making.loading = loadPrograms(attachment);
      making.loading.catch(() => undefined);
    },
    undo: async () => {
      await making.loading?.then(
        (object) => object.close(),
        () => undefined,
      );
      spare.close();
      await teardown(attachment);
    },
  };
  await runSteps(crashed ? adoptingSteps(making) : [planned, ...makingSteps(making)]);
  return making.controller as Controller;
}

/** What is attached under that name, whole or broken; null if nothing is. */
const attachmentNamed = (iface: string, netns: Netns, options: AttachOptions): Attachment | BrokenAttachment | null =>
  attachmentCalled(iface, netns) ?? brokenOnes(iface, options.netns)[0] ?? null;

/**
 * Prepares the name for an attach. Returns a crashed attachment that is whole, to be adopted, or an interface that may
 * be taken; removes an attachment that is not whole; refuses a running one and an interface that is not ours.
 */
async function clearTheWay(
  iface: string,
  netns: Netns,
  options: AttachOptions,
): Promise<{ crashed?: Attachment; existing: Link | null }> {
  const { crashed, broken } = previousAttachment(iface, netns, options);
  if (crashed) return { crashed, existing: null };
  if (broken) await teardown(broken);
  sweep();
  return { existing: takeableLink(iface, netns, options) };
}

/**
 * The steps that make a planned attachment. Their undo closes what this process has of it; teardown removes the rest.
 * `hasPeerNetns` is for `--dry-run`.
 */
function makingSteps(making: Making, hasPeerNetns = true): Step[] {
  const { attachment, netns, options } = making;
  const made = making as Required<Making>;
  const { backend, whenFull, queues, ringBytes, queuePackets } = attachment;
  const where = named(attachment.iface, attachment.netns.name);
  const limit = queuePackets > 0 ? `, a queue of ${queuePackets} frames` : '';
  const programs =
    backend === 'veth'
      ? `tx to ${where}, sink ${merges(attachment) ? 'and resegment ' : ''}to its other end${whenFull === 'hold' ? ', release to the waiting room' : ''}`
      : `tx to ${where}`;
  let pins = '';
  let rings: BpfMap[] = [];
  const pinDirectory: Step = {
    name: 'pin-directory',
    says: () => [!bpffsIsMounted() && 'mount the BPF file system on /sys/fs/bpf'],
    run: () => {
      pins = makePinDirectory(attachment.id);
      // The thread gets ready while the interface is made. A hook has a thread of its own, and so have faults.
      if (options.hook === null && options.faults === null) PollerThread.start(queues, spreadOf(attachment));
    },
    undo: () => PollerThread.endIfUnused(),
  };
  const datapath: Step = {
    name: 'datapath',
    says: () => [
      `load ${objectFile()}, with a ring of ${ringBytes} bytes${limit}${queues > 1 ? `, for each of ${queues} queues` : ''}`,
      `attach ${programs}, through ${kernelIsAtLeast('6.6') ? 'tcx' : 'clsact'}`,
    ],
    run: async () => {
      rings = makeRings(attachment, pins);
      making.datapath = openDatapath(attachment, await made.loading, rings, pins, netns, made.peerNetns);
      attachment.attach = making.datapath.links.tx.kind;
      attachment.links = making.datapath.linkStates();
      saveAttachment(attachment);
    },
    undo: () => {
      for (const ring of rings) ring.close();
      making.datapath?.close();
    },
  };
  return [
    opening(making, hasPeerNetns),
    pinDirectory,
    ...interfaceSteps(made, where),
    datapath,
    ...loopingSteps(making, 'loaded'),
  ];
}

/** The steps that make the interface, unless it exists already. What exists is recorded as soon as it does. */
function interfaceSteps(made: Required<Making>, where: string): Step[] {
  const { attachment, netns, options } = made;
  const { id, iface, backend, peer, rooms, queuePackets, superpacketBytes, taken } = attachment;
  const mac = options.mac ?? randomMac();
  const mtu = options.mtu ?? DEFAULT_MTU;
  const says = (): string[] => [
    `make the ${backend} ${where}, with ${options.mac === null ? 'a random Ethernet address' : `the Ethernet address ${mac}`} and an MTU of ${mtu}`,
  ];
  if (taken)
    return [
      { name: 'taken', says: () => [`use the ${backend} ${where}, which is there already`], run: () => undefined },
    ];
  if (!peer) {
    const dummyNamed = (): void => {
      saveAttachment(attachment);
      netns.run(() => nameDummy(id, iface));
    };
    return [
      { name: 'dummy', says, run: () => (attachment.ifindex = netns.run(() => createDummy(id, mac, mtu)).ifindex) },
      { name: 'dummy-named', run: dummyNamed },
    ];
  }
  const veth: Step = {
    name: 'veth',
    says,
    run: () => {
      const { peerNetns } = made;
      const ends = netns.run(() => createVeth({ iface, peer: peer.name, mac, mtu, superpacketBytes }, peerNetns));
      netns.run(() => correctFeatures(iface, loopable({ udpGso: passesUdpGso(), merges: merges(attachment) })));
      peerNetns.run(() => resegmentMerged(peer.name));
      attachment.ifindex = ends.link.ifindex;
      peer.ifindex = ends.peer.ifindex;
      attachment.baseline.peerTxPackets = peerNetns.run(() => transmittedFramesOf(peer.ifindex)) ?? 0;
    },
  };
  const room: Step = {
    name: 'room',
    says: () => [
      rooms.length > 0 &&
        `make ${rooms.length > 1 ? `${rooms.length} waiting rooms` : 'a waiting room'}, where frames of ${where} wait while its queue is full`,
    ],
    run: () => {
      made.peerNetns.run(() =>
        rooms.forEach((each, queue) => createRoom(id, queue, each, roomFrameCost(queuePackets), superpacketBytes)),
      );
      saveAttachment(attachment);
    },
  };
  return [veth, room];
}

// `attach --dry-run`.

/** What attach would do, in words. Changes nothing. Throws what attach would throw before it makes anything. */
export function attachInWords(iface: string, options: AttachOptions): string[] {
  requireAttachable(options);
  requireObject();
  requireLibbpf();
  using netns = Netns.named(options.netns);
  netns.run(() => requireAddressesFor(iface, options));
  const madeOf = (existing: Link | null, hasPeerNetns: boolean): string[] =>
    inWords(makingSteps({ attachment: plan(iface, netns, options, existing), netns, options }, hasPeerNetns));
  const replaced = options.replace ? attachmentNamed(iface, netns, options) : null;
  const { crashed, broken }: ReturnType<typeof previousAttachment> = replaced
    ? { broken: known(replaced) }
    : previousAttachment(iface, netns, options);
  if (replaced && broken) requireName(iface, netns, options, broken);
  if (crashed) return inWords(adoptingSteps({ attachment: crashed, netns, options }));
  if (broken) {
    const { lines, removesPeerNetns } = removal([broken]);
    return [...lines, ...madeOf(null, !removesPeerNetns)];
  }
  using peerNetns = openPeerNetns();
  return madeOf(takeableLink(iface, netns, options), peerNetns !== null);
}

// All interfaces of one process, with the server of their metrics.

/**
 * Attaches all interfaces and starts the server of their metrics, or nothing at all. `controllers` has those that are
 * attached so far, for a caller that is interrupted.
 */
export async function attachAll(
  names: readonly string[],
  options: AttachOptions,
  metricsAt: ListenAddress | null,
  controllers: Controller[],
): Promise<void> {
  const listen = (): Promise<MetricsServer> | null =>
    metricsAt &&
    (require('../metrics/server') as typeof import('../metrics/server')).serveMetrics(metricsAt, controllers);
  // Listens before anything is made or replaced, unless an interface that is to be replaced may have the port.
  let server: MetricsServer | null = null;
  const replaces = metricsAt && options.replace && isFreedByReplacing(names, options, metricsAt);
  const adopts = !options.replace && adoptsSome(names, options);
  try {
    if (!replaces && !adopts) server = await listen();
    for (const name of names) controllers.push(await attach(name, options));
    const serve = async (): Promise<void> => {
      server ??= await listen();
      const { url } = server ?? { url: null };
      if (url !== null) for (const controller of controllers) controller.servesMetrics(url);
    };
    await (adopts ? serve().catch((error: unknown) => serveLater(error, serve, controllers)) : serve());
    // Ends the server before the caller that detached the last interface is told so.
    const endWithLast = (): void => (controllers.every(({ isClosing }) => isClosing) ? server?.close() : undefined);
    for (const controller of controllers) controller.once('detached', endWithLast);
  } catch (error) {
    server?.close();
    for (const controller of controllers) await controller.detach();
    throw error;
  }
}

/** How often an adopter tries to serve its metrics, in milliseconds. */
const SERVE_MS = 1000;

/** Serves the metrics as soon as the address is free, for as long as there are interfaces. Logs why it has to wait. */
function serveLater(error: unknown, serve: () => Promise<void>, controllers: readonly Controller[]): void {
  for (const { log, attachment } of controllers)
    log.write(`metrics of ${attachment.iface} are not served yet: ${messageOf(error)}`);
  const again = (): void => {
    if (controllers.every(({ isClosing }) => isClosing)) return;
    void serve().catch(() => setTimeout(again, SERVE_MS).unref());
  };
  setTimeout(again, SERVE_MS).unref();
}

/**
 * Whether an interface is to be adopted. Its senders wait until it is: another user who has taken the port must not
 * keep it from being adopted.
 */
function adoptsSome(names: readonly string[], { netns: name }: AttachOptions): boolean {
  using netns = Netns.named(name);
  return allAttachments().some((each) => names.includes(each.iface) && isIn(netns)(each) && !isControlled(each));
}

/**
 * Whether the address belongs to a process that ends when these interfaces are replaced. One that loops others, too,
 * goes on.
 */
function isFreedByReplacing(names: readonly string[], { netns: name }: AttachOptions, address: ListenAddress): boolean {
  using netns = Netns.named(name);
  const served = allAttachments().filter(
    (each) => each.metrics !== null && servedAt(each.metrics, address) && isControlled(each),
  );
  return served.length > 0 && served.every((each) => isIn(netns)(each) && names.includes(each.iface));
}
