// SPDX-License-Identifier: MIT
/** Attaches one interface: the steps in their order, undone in full if one of them fails. */
import { randomInt } from 'node:crypto';

import type { BpfMap } from 'libbpf-ts';

import { loadPrograms, makeRings, openDatapath, type Datapath } from '../datapath/datapath';
import { roomFrameMax, txBytesLimit } from '../datapath/credit';
import { PollerThread } from '../datapath/poller-thread';
import { usageError, VnetError } from '../errors';
import { requireKernel } from '../kernel-features';
import { superpacketBytesOf } from '../link/big-tcp';
import { linkByName, links, type Link } from '../link/links';
import { trustedHookFile } from '../hooks/trust';
import { Netns } from '../link/netns';
import { recordNetns } from '../link/netns-record';
import { ensurePeerNetns, openPeerNetns } from '../link/peer-netns';
import { planRooms } from '../link/room';
import { recordTaken } from '../link/taken';
import { peerName } from '../link/veth';
import { FileLock } from '../state/lock';
import { commandAbout, commandFor } from '../state/named';
import { makePinDirectory } from '../state/bpffs';
import { SpareDescriptors } from '../state/spare-descriptors';
import {
  controllerLock,
  isControlled,
  lockEverything,
  newId,
  saveAttachment,
  STATE_VERSION,
  type Attachment,
} from '../state/store';
import { adoptDatapath, adoptedLink, isWhole, requireJudge, requireSameOptions, requireSameVersion } from './adopt';
import { attachmentIn } from './attachment-netns';
import { Controller } from './controller';
import { detachAttachment } from './detach';
import { step } from './fault';
import { brokenError, brokenOnes } from './find-attachment';
import { adoptImpairment } from './impairing';
import { bringUp, makeInterface, requireIpv6For } from './make-interface';
import type { AttachOptions } from './options';
import { spreadOf, type HookWish } from './polling';
import { requirePrivileges } from './privileges';
import { sweep } from './sweep';
import { teardown } from './teardown';

/** What has to hold before anything is made or looked at. The rest of what can be wrong with a hook shows when it is loaded. */
export function requireAttachable({ hook }: AttachOptions): void {
  requirePrivileges();
  requireKernel();
  if (hook !== null) trustedHookFile(hook);
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
 * Clears away what is under that name: a crashed attachment that is whole is returned, to be
 * adopted, and so is an interface that may be taken; an attachment that is not whole is removed;
 * a running one and what is not ours are refused.
 */
function clearTheWay(iface: string, netns: Netns, options: AttachOptions): { crashed?: Attachment; existing: Link | null } {
  const { crashed, broken } = previousAttachment(iface, netns, options);
  if (crashed) return { crashed, existing: null };
  if (broken) teardown(broken);
  sweep();
  return { existing: takeableLink(iface, netns, options) };
}

/** What an earlier attach left under that name, whole or broken; changes nothing. Throws if it runs or does not fit. */
export function previousAttachment(iface: string, netns: Netns, options: AttachOptions): { crashed?: Attachment; broken?: Attachment } {
  const [damaged] = brokenOnes(iface, options.netns);
  if (damaged) throw brokenError(damaged);
  const previous = attachmentIn(iface, netns);
  if (!previous) return {};
  if (isControlled(previous)) {
    throw new VnetError('ALREADY_ATTACHED', `interface ${iface}`, `is attached already, by process ${previous.pid}`, {
      hint: `${commandFor('detach', iface, options.netns ?? previous.netns.name)}, or attach with --replace`,
    });
  }
  requireSameVersion(previous);
  using peerNetns = openPeerNetns();
  if (!isWhole(previous, netns, peerNetns)) return { broken: previous };
  requireSameOptions(previous, options);
  requireJudge(previous, options);
  return { crashed: previous };
}

/** The interface of that name, if there is one that may be taken; throws if there is another. */
export function takeableLink(iface: string, netns: Netns, options: AttachOptions): Link | null {
  const existing = netns.run(() => linkByName(iface));
  if (existing && (existing.kind !== 'dummy' || options.type === 'veth')) refuse(existing, options.netns);
  return existing;
}

function refuse(link: Link, netns: string | null): never {
  const what = `interface ${link.name}`;
  const kind = link.kind ?? (link.name === 'lo' ? 'the loopback device' : 'a physical device');
  throw new VnetError('INTERFACE_REFUSED', what, `exists already, as ${link.kind ? `a ${kind}` : kind} that vnet-bpf did not make`, {
    hint: `choose another name: ${commandFor('attach', 'vnet0', netns)}`,
  });
}

/** Hold needs the hidden namespace behind a veth: a dummy has no place where frames could wait. */
function whenFullOf(backend: 'veth' | 'dummy', options: AttachOptions): 'hold' | 'drop' {
  if (backend === 'veth') return options.whenFull ?? 'hold';
  if (options.whenFull === 'hold') {
    throw new VnetError('UNSUPPORTED', '--when-full hold', 'a dummy has no place where frames could wait: it refuses them while its queue is full', {
      hint: 'leave --when-full out, or use a veth',
    });
  }
  return 'drop';
}

/** Descriptors that making or adopting an attachment takes at most. */
const DESCRIPTORS = 40;
const DESCRIPTORS_OF_QUEUE = 8;

/** The record of what is to be made; changes nothing. */
export function plan(iface: string, netns: Netns, options: AttachOptions, existing: Link | null): Attachment {
  const id = newId();
  const backend = existing ? 'dummy' : (options.type ?? 'veth');
  const whenFull = whenFullOf(backend, options);
  const { ringBytes } = options;
  const superpacketBytes = superpacketBytesOf(backend, ringBytes);
  if (existing && (options.mac !== null || options.mtu !== null)) {
    throw usageError(`attach ${iface}`, 'the interface exists: its MAC and MTU are left alone', 'leave --mac and --mtu out');
  }
  return {
    version: STATE_VERSION,
    id,
    phase: 'attaching',
    iface,
    ifindex: existing?.ifindex ?? 0,
    taken: existing && netns.run(() => recordTaken(existing)),
    added: [],
    netns: recordNetns(netns, options.netns),
    backend,
    peer: backend === 'veth' ? { name: peerName(id), ifindex: 0 } : null,
    reinjectMark: backend === 'veth' ? 0 : randomInt(1, 2 ** 31),
    rooms: whenFull === 'hold' ? planRooms(id, options.queues, hiddenLinks()) : [],
    attach: 'tcx',
    links: null,
    pid: process.pid,
    startedAt: new Date().toISOString(),
    superpacketBytes,
    queues: options.queues,
    ringBytes,
    queuePackets: options.queuePackets,
    lowWatermarkBytes: Math.floor(txBytesLimit({ ringBytes, frameMax: roomFrameMax(superpacketBytes) }, whenFull) * options.lowWatermark),
    lowWatermarkPackets: Math.floor(options.queuePackets * options.lowWatermark),
    budget: options.budget,
    gro: options.gro,
    busyPollUs: options.busyPollUs,
    whenFull,
    baseline: { peerTxPackets: 0 },
    hook: null,
    onHookError: null,
    hookDown: null,
    hairpin: null,
    impairment: null,
    lostByChange: { down: 0, toolong: 0 },
    metrics: null,
  };
}

function hiddenLinks(): Link[] {
  using hidden = openPeerNetns();
  return hidden?.run(links) ?? [];
}

/** Takes over a crashed attachment: drains what was queued and goes on. */
async function adopt(attachment: Attachment, netns: Netns, options: AttachOptions): Promise<Controller> {
  const lock = requireControllerLock(attachment);
  const wireNetns = wireNetnsOf(attachment, netns);
  let datapath: Datapath | undefined;
  let controller: Controller | undefined;
  try {
    attachment.pid = process.pid;
    attachment.budget = options.budget;
    attachment.gro = options.gro;
    attachment.busyPollUs = options.busyPollUs;
    datapath = adoptDatapath(attachment, netns, wireNetns);
    attachment.links = datapath.linkStates();
    adoptImpairment(attachment, wireNetns);
    attachment.metrics = attachment.hookDown = null;
    saveAttachment(attachment);
    step('adopted');
    controller = new Controller({ attachment, datapath, lock, wireNetns, hairpinAll: options.hairpin });
    await controller.start(hookOf(options, attachment));
    if (options.hook === null) attachment.hook = attachment.onHookError = null;
    const link = options.addresses.length > 0 ? netns.run(() => bringUp(attachment, options)) : adoptedLink(attachment, netns);
    saveAttachment(attachment);
    controller.watchLink(link, 'adopted');
    return controller;
  } catch (error) {
    // What could not be adopted stays as it was: detach or --replace decide over it.
    await controller?.abandon();
    datapath?.close();
    wireNetns.close();
    lock.close();
    throw error;
  }
}

/** What becomes of frames over which the hook fails stays as a crashed controller had it, unless told otherwise. */
const hookOf = ({ hook, onHookError }: AttachOptions, before: Attachment): HookWish | null =>
  hook === null ? null : { file: hook, onError: onHookError ?? before.onHookError };

function requireControllerLock(attachment: Attachment): FileLock {
  const lock = FileLock.tryTake(controllerLock(attachment.id));
  if (!lock) throw new VnetError('BUSY', `interface ${attachment.iface}`, 'another process holds its lock', { hint: `vnet-bpf list tells which process loops it; wait for it, or ${commandAbout('detach', attachment)}` });
  return lock;
}

async function build(attachment: Attachment, netns: Netns, options: AttachOptions): Promise<Controller> {
  const lock = requireControllerLock(attachment);
  // On another thread, while the interface is made. What goes wrong there shows when it is waited for.
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
    // It gets ready while the interface is made. A hook has a thread of its own.
    if (options.hook === null) PollerThread.start(attachment.queues, spreadOf(attachment));
    makeInterface(attachment, netns, wireNetns, options);
    rings = makeRings(attachment, pins);

    datapath = openDatapath(attachment, await loading, rings, pins, netns, wireNetns);
    attachment.attach = datapath.links.tx.kind;
    attachment.links = datapath.linkStates();
    saveAttachment(attachment);
    step('datapath');

    controller = new Controller({ attachment, datapath, lock, wireNetns, hairpinAll: options.hairpin });
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

/** Where frames are reinjected; the caller closes it. */
function wireNetnsOf(attachment: Attachment, netns: Netns): Netns {
  return attachment.peer ? ensurePeerNetns() : netns.duplicate();
}
