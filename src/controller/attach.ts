// SPDX-License-Identifier: MIT
/** Attaches one interface: the steps in their order, undone in full if one of them fails. */
import type { BpfMap } from 'libbpf-ts';

import { loadPrograms, makeRings, openDatapath, type Datapath } from '../datapath/datapath';
import { PollerThread } from '../datapath/poller-thread';
import type { Link } from '../link/links';
import { Netns } from '../link/netns';
import { makePinDirectory } from '../state/bpffs';
import { SpareDescriptors } from '../state/spare-descriptors';
import { lockEverything, saveAttachment, type Attachment } from '../state/store';
import { adopt, hookOf, requireControllerLock, wireNetnsOf } from './adopt';
import { attachmentIn } from './attachment-netns';
import { Controller } from './controller';
import { detachAttachment } from './detach';
import { step } from './fault';
import { plan, previousAttachment, requireAttachable, takeableLink } from './attach-steps';
import { brokenOnes } from './find-attachment';
import { bringUp, makeInterface, requireIpv6For } from './make-interface';
import type { AttachOptions } from './options';
import { spreadOf } from './polling';
import { sweep } from './sweep';
import { teardown } from './teardown';

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

/** Descriptors that making or adopting an attachment takes at most. */
const DESCRIPTORS = 40;
const DESCRIPTORS_OF_QUEUE = 8;

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
