// SPDX-License-Identifier: MIT
/**
 * Adopts what a killed controller left: its interface, ring, counters and attached programs live on in the kernel.
 * Nothing is adopted unless all of it fits.
 */
import * as path from 'node:path';

import { BpfError, BpfMap, MapType, restoreTcLink, type TcLink, type TcLinkState } from 'libbpf-ts';

import { forgetCrashedRecording } from '../capture/session';
import { step } from '../control/fault';
import type { HookWish } from '../control/orders';
import { Controller } from '../controller/controller';
import { adoptImpairment } from '../controller/impairing';
import { attachCut, Datapath } from '../datapath/programs';
import { finishBatches } from '../datapath/recovery';
import { commandAbout, VnetError } from '../errors';
import { BATCH, CONTROL, COUNTERS } from '../layout';
import { type Link, linkByIndex } from '../link/links';
import { ensurePeerNetns, type Netns } from '../link/netns';
import { type AttachOption, type AttachOptions, DEFAULTS, OPTION_ROWS, RUNNING_ROWS, type RunningOptions, textOf } from '../options/attach-options';
import { ringPin, trustedPins } from '../state/bpffs';
import { FileLock } from '../state/lock';
import { type Attachment, controllerLock, saveAttachment, STATE_VERSION } from '../state/store';
import { bringUp } from './make-interface';
import { teardown } from './teardown';

/** Whether a crashed attachment got as far as looping, and all its links still exist. */
export function isWhole(attachment: Attachment, netns: Netns, peerNetns: Netns | null): boolean {
  if (attachment.phase !== 'running' || attachment.version !== STATE_VERSION) return false;
  const link = netns.run(() => linkByIndex(attachment.ifindex));
  if (link?.name !== attachment.iface) return false;
  const { peer: end } = attachment;
  if (!end) return link.kind === attachment.backend;
  const isThere = ({ name, ifindex }: { name: string; ifindex: number }): boolean => peerNetns?.run(() => linkByIndex(ifindex))?.name === name;
  return link.peerIfindex === end.ifindex && isThere(end) && attachment.rooms.every(({ entry, exit }) => isThere(entry) && isThere(exit));
}

/** Throws STATE if another version made the attachment: its memory layout may differ. */
export function requireSameVersion(attachment: Attachment): void {
  if (attachment.version === STATE_VERSION) return;
  throw new VnetError('STATE', `interface ${attachment.iface}`, 'a crashed controller of another version left it', {
    hint: `${commandAbout('detach', attachment)}, or attach with --replace`,
  });
}

/** Throws STATE for options that an existing ring cannot be given. Options left at their defaults follow the ring. */
export function requireSameOptions(attachment: Attachment, options: AttachOptions): void {
  const is: Readonly<Record<string, unknown>> = { ...attachment, type: attachment.backend };
  const fits = ({ key }: AttachOption): boolean => options[key] === DEFAULTS[key] || options[key] === is[key];
  const conflicts = OPTION_ROWS.filter((row) => row.adoption === 'must fit' && !fits(row)).map((row) => `--${row.flag} ${textOf(row, is[row.key])}`);
  if (conflicts.length === 0) return;
  throw new VnetError('STATE', `interface ${attachment.iface}`, `a crashed controller left it with ${conflicts.join(', ')}`, {
    hint: 'attach with the same options adopts it, attach with --replace makes a new one',
  });
}

/** The options that change with an adoption. */
export const renewed = (options: AttachOptions): Partial<RunningOptions> =>
  Object.fromEntries(RUNNING_ROWS.filter(({ adoption }) => adoption === 'changes').map(({ key }) => [key, options[key]]));

/**
 * Throws STATE if a hook with `--on-hook-error drop` was to decide about the frames and no hook is given now: they must
 * not pass unjudged.
 */
export function requireJudge({ iface, hook, onHookError }: Attachment, options: AttachOptions): void {
  if (options.hook !== null || hook === null || onHookError !== 'drop') return;
  throw new VnetError('STATE', `interface ${iface}`, `a crashed controller left it with a hook that decides over its frames, ${hook} (--on-hook-error drop)`, {
    hint: `attach with --hook ${hook} adopts it; attach with --replace makes a new one, without what waits in its queue`,
  });
}

/** Opens what is pinned, checks it, and finishes a batch that was under way. Throws STATE if something does not fit. */
export function adoptDatapath(attachment: Attachment, netns: Netns, wireNetns: Netns): Datapath {
  const pins = trustedPins(attachment.id);
  try {
    const { queues, ringBytes } = attachment;
    const maps = {
      rings: Array.from({ length: queues }, (_, queue) => openMap(pins, ringPin(queue), { type: MapType.RINGBUF, maxEntries: ringBytes })),
      control: openMap(pins, 'control', { type: MapType.ARRAY, valueSize: CONTROL.size, maxEntries: queues }),
      counters: openMap(pins, 'counters', { type: MapType.PERCPU_ARRAY, valueSize: COUNTERS.size }),
      batch: openMap(pins, 'batch', { type: MapType.ARRAY, valueSize: BATCH.size, maxEntries: queues }),
      tape: openMap(pins, 'tape', { type: MapType.ARRAY_OF_MAPS, maxEntries: 1 }),
    };
    const { links } = attachment;
    if (!links) throw new VnetError('STATE', `interface ${attachment.iface}`, 'its record names no attachments', { hint: `${commandAbout('detach', attachment)}, or attach with --replace` });
    const datapath = new Datapath(maps, {
      tx: restoreIn(netns, links.tx),
      sink: links.sink && restoreIn(wireNetns, links.sink),
      cut: links.cut ? restoreIn(wireNetns, links.cut) : attachCut(attachment, pins, wireNetns),
      retry: links.retry.map((state) => restoreIn(wireNetns, state)),
    });
    finishBatches(datapath);
    forgetCrashedRecording(datapath, pins);
    return datapath;
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new VnetError('STATE', `interface ${attachment.iface}`, `what a crashed controller left does not fit: ${error.message}`, {
      hint: `${commandAbout('detach', attachment)}, or attach with --replace`,
      cause: error,
    });
  }
}

/** Restores the link of a program. Throws STATE if the program has been detached meanwhile. */
function restoreIn(netns: Netns, state: TcLinkState): TcLink {
  const { link, attached } = netns.run(() => {
    const restored = restoreTcLink(state);
    return { link: restored, attached: restored.isAttached() };
  });
  if (attached) return link;
  link.close();
  throw new VnetError('STATE', 'what a crashed controller left', 'one of its programs is not attached any more', { hint: 'vnet-bpf list shows it; vnet-bpf detach removes it, attach with --replace makes a new one' });
}

function openMap(pins: string, name: string, expected: Parameters<BpfMap['checkCompatible']>[0]): BpfMap {
  const map = BpfMap.openPinned(path.join(pins, name));
  map.checkCompatible(expected);
  return map;
}

/** The interface of an adopted attachment. Throws INTERFACE_GONE. */
export function adoptedLink(attachment: Attachment, netns: Netns): Link {
  const link = netns.run(() => linkByIndex(attachment.ifindex));
  if (!link) throw new VnetError('INTERFACE_GONE', `interface ${attachment.iface}`, 'somebody removed it just now', { hint: `${commandAbout('attach', attachment)} makes a new one` });
  return link;
}

/** Adopts a crashed attachment: delivers what was queued and goes on looping. */
export async function adopt(attachment: Attachment, netns: Netns, options: AttachOptions): Promise<Controller> {
  const lock = requireControllerLock(attachment);
  const wireNetns = wireNetnsOf(attachment, netns);
  let datapath: Datapath | undefined;
  let controller: Controller | undefined;
  try {
    attachment.pid = process.pid;
    Object.assign(attachment, renewed(options));
    datapath = adoptDatapath(attachment, netns, wireNetns);
    attachment.links = datapath.linkStates();
    adoptImpairment(attachment, wireNetns);
    attachment.metrics = attachment.hookDown = null;
    saveAttachment(attachment);
    step('adopted');
    controller = new Controller({ attachment, datapath, lock, wireNetns, hairpinAll: options.hairpin, teardown });
    await controller.start(hookOf(options, attachment));
    if (options.hook === null) attachment.hook = attachment.onHookError = null;
    const link = options.addresses.length > 0 ? netns.run(() => bringUp(attachment, options)) : adoptedLink(attachment, netns);
    saveAttachment(attachment);
    controller.watchLink(link, 'adopted');
    return controller;
  } catch (error) {
    // What could not be adopted stays as it was, for detach or --replace.
    await controller?.abandon();
    datapath?.close();
    wireNetns.close();
    lock.close();
    throw error;
  }
}

/**
 * The hook to load. What happens to frames on which it fails stays as the crashed controller had it, unless an option
 * says otherwise.
 */
export const hookOf = ({ hook, onHookError }: AttachOptions, before: Attachment): HookWish | null =>
  hook === null ? null : { file: hook, onError: onHookError ?? before.onHookError };

/** Takes the lock that a controller holds for as long as it lives. Throws BUSY if another process holds it. */
export function requireControllerLock(attachment: Attachment): FileLock {
  const lock = FileLock.tryTake(controllerLock(attachment.id));
  if (!lock) throw new VnetError('BUSY', `interface ${attachment.iface}`, 'another process holds its lock', { hint: `vnet-bpf list tells which process loops it; wait for it, or ${commandAbout('detach', attachment)}` });
  return lock;
}

/** The namespace in which frames are reinjected; the caller closes it. */
export function wireNetnsOf(attachment: Attachment, netns: Netns): Netns {
  return attachment.peer ? ensurePeerNetns() : netns.duplicate();
}
