// SPDX-License-Identifier: MIT
/**
 * Adopts what a killed controller left: its interface, ring, counters and attached programs live on in the kernel.
 * Nothing is adopted unless all of it fits. Also has the steps that an attach and an adoption have in common.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { BpfError, BpfMap, type BpfObject, MapType, restoreTcLink, type TcLink, type TcLinkState } from 'libbpf-ts';

import { forgetCrashedRecording } from '../capture/session';
import type { JudgeWish } from '../control/orders';
import { faultsOfRecord } from '../controller/choice';
import { Controller, type ControllerParts } from '../controller/controller';
import { adoptImpairment, forgetRules, impairmentWish } from '../controller/impairing';
import { attachResegment, Datapath } from '../datapath/programs';
import { QueueControls } from '../datapath/queue-gate';
import { finishBatches } from '../datapath/recovery';
import { commandAbout, HINTS, named, VnetError } from '../errors';
import { readWish } from '../faults/source';
import { BATCH, CONTROL, COUNTERS } from '../layout';
import { addresses, setAddress } from '../link/addresses';
import { syncHairpin } from '../link/hairpin';
import { withoutAddressDetection } from '../link/ipv6';
import { linkByIndex, setMac, setNumbers, setUp } from '../link/links';
import { ensurePeerNetns, type Netns } from '../link/netns';
import { loopTable } from '../link/rules';
import { refused } from '../link/veth';
import { clock } from '../native/clock';
import { type AttachOptions, RUNNING_ROWS, type RunningOptions } from '../options/attach-options';
import { ringPin, trustedPins } from '../state/bpffs';
import { FileLock } from '../state/lock';
import { HOST_PEER_NETNS } from '../state/paths';
import { type Attachment, controllerLock, impairedBy, saveAttachment } from '../state/store';
import { requireIpv6For } from './plan';
import type { Step } from './steps';
import { teardown } from './teardown';

/** Attempts to take a lock at which others look, in a row. */
const LOOKS = 1000;

/** Opens what is pinned, checks it, and finishes a batch that was under way. Throws STATE if something does not fit. */
function adoptDatapath(attachment: Attachment, netns: Netns, peerNetns: Netns): Datapath {
  const pins = trustedPins(attachment.id);
  try {
    const { queues, ringBytes } = attachment;
    const maps = {
      rings: Array.from({ length: queues }, (_, queue) =>
        openMap(pins, ringPin(queue), { type: MapType.RINGBUF, maxEntries: ringBytes }),
      ),
      control: openMap(pins, 'control', { type: MapType.ARRAY, valueSize: CONTROL.size, maxEntries: queues }),
      counters: openMap(pins, 'counters', { type: MapType.PERCPU_ARRAY, valueSize: COUNTERS.size }),
      batch: openMap(pins, 'batch', { type: MapType.ARRAY, valueSize: BATCH.size, maxEntries: queues }),
      trace: openMap(pins, 'trace', { type: MapType.ARRAY_OF_MAPS, maxEntries: 1 }),
    };
    const { links } = attachment;
    if (!links)
      throw new VnetError('STATE', `interface ${attachment.iface}`, 'its record names no attachments', {
        hint: `${commandAbout('detach', attachment)}, or attach with --replace`,
      });
    const datapath = new Datapath(maps, {
      tx: restoreIn(netns, links.tx),
      sink: links.sink && restoreIn(peerNetns, links.sink),
      resegment: links.resegment ? restoreIn(peerNetns, links.resegment) : attachResegment(attachment, pins, peerNetns),
      release: links.release.map((state) => restoreIn(peerNetns, state)),
    });
    finishBatches(datapath);
    forgetCrashedRecording(datapath, pins);
    return datapath;
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new VnetError(
      'STATE',
      `interface ${attachment.iface}`,
      `what a crashed controller left does not fit: ${error.message}`,
      {
        hint: `${commandAbout('detach', attachment)}, or attach with --replace`,
        cause: error,
      },
    );
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
  throw new VnetError('STATE', 'what a crashed controller left', 'one of its programs is not attached any more', {
    hint: 'vnet-bpf list shows it; vnet-bpf detach removes it, attach with --replace makes a new one',
  });
}

function openMap(pins: string, name: string, expected: Parameters<BpfMap['checkCompatible']>[0]): BpfMap {
  const map = BpfMap.openPinned(path.join(pins, name));
  map.checkCompatible(expected);
  return map;
}

/** The options that change with an adoption. */
export const renewed = (options: AttachOptions): Partial<RunningOptions> =>
  Object.fromEntries(
    RUNNING_ROWS.filter(({ adoption }) => adoption === 'changes').map(({ key }) => [key, options[key]]),
  );

/** The steps that adopt a crashed attachment. If one fails, it stays as it was, for detach or --replace. */
export function adoptingSteps(making: Making): Step[] {
  const { attachment, netns, options } = making;
  const made = making as Required<Making>;
  const adopted: Step = {
    name: 'adopted',
    says: () => [
      `adopt ${named(attachment.iface, attachment.netns.name)}, which process ${attachment.pid} left when it crashed, and deliver what is in its ring`,
    ],
    run: () => {
      attachment.pid = process.pid;
      Object.assign(attachment, renewed(options));
      making.datapath = adoptDatapath(attachment, netns, made.peerNetns);
      attachment.links = making.datapath.linkStates();
      adoptImpairment(attachment, made.peerNetns);
      if (options.hook !== null || options.faults !== null) {
        using controls = new QueueControls(making.datapath.maps.control);
        forgetRules(attachment, controls);
      }
      attachment.metrics = attachment.hookDown = null;
      saveAttachment(attachment);
    },
    undo: () => making.datapath?.close(),
  };
  return [opening(making, true), adopted, ...loopingSteps(making, 'adopted')];
}

// The steps that an attach and an adoption have in common.

/**
 * An interface in the making. A part is set by the step that makes it: the steps after that one have Required<Making>.
 * The controller owns the parts that it is given.
 */
export interface Making extends Partial<Pick<ControllerParts, 'lock' | 'peerNetns' | 'datapath'>> {
  readonly attachment: Attachment;
  readonly netns: Netns;
  readonly options: AttachOptions;
  loading?: Promise<BpfObject>;
  controller?: Controller;
}

/** The first step. What it says depends on whether there is a peer namespace already. */
export const opening = (making: Making, hasPeerNetns: boolean): Step => ({
  name: 'peer-netns',
  says: () => [making.attachment.peer !== null && !hasPeerNetns && `make the peer namespace ${HOST_PEER_NETNS}`],
  run: () => {
    making.lock = requireControllerLock(making.attachment);
    making.peerNetns = making.attachment.peer ? ensurePeerNetns() : making.netns.duplicate();
  },
  undo: () => {
    making.peerNetns?.close();
    making.lock?.close();
  },
});

/**
 * Takes the lock that a controller holds for as long as it lives. Throws BUSY if another process holds it; one that only
 * looks whether it is held does so for a moment.
 */
function requireControllerLock(attachment: Attachment): FileLock {
  const file = controllerLock(attachment.id);
  let lock = FileLock.tryTake(file);
  for (let look = 0; !lock && look < LOOKS && !FileLock.isHeld(file); look++) lock = FileLock.tryTake(file);
  if (!lock)
    throw new VnetError('BUSY', `interface ${attachment.iface}`, 'another process holds its lock', {
      hint: `vnet-bpf list tells which process loops it; wait for it, or ${commandAbout('detach', attachment)}`,
    });
  return lock;
}

/** What the step that polls says of the options. */
const pollingWords = (options: RunningOptions): string =>
  RUNNING_ROWS.flatMap(
    ({ key, polling }) => (polling as ((value: unknown) => string | null) | undefined)?.(options[key]) ?? [],
  ).join(', ');

/**
 * The last steps, once there are programs. The loop runs before the interface is up, so nothing that it sends is lost.
 */
export function loopingSteps(making: Making, how: 'loaded' | 'adopted'): Step[] {
  const { attachment, netns, options } = making;
  const { iface, whenFull } = attachment;
  const where = named(iface, attachment.netns.name);
  const given = options.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', ');
  const made = making as Required<Making>;
  const started: Step = {
    name: 'started',
    says: () => [
      options.hook !== null && `load the hook ${fs.realpathSync(options.hook)}`,
      options.faults !== null && `put faults in place: ${options.faults}`,
      `poll ${where}, ${pollingWords(how === 'loaded' ? attachment : { ...attachment, ...renewed(options) })}; while its queue is full, ${whenFull === 'hold' ? 'frames wait' : 'frames are refused'}`,
    ],
    run: async () => {
      const { datapath, lock, peerNetns } = made;
      making.controller = new Controller({
        attachment,
        datapath,
        lock,
        peerNetns,
        hairpinAll: options.hairpin,
        teardown,
      });
      const onHookError = options.onHookError ?? attachment.onHookError;
      await making.controller.start(judgeOf(options, attachment), onHookError);
      attachment.onHookError = onHookError;
      if (options.hook === null) attachment.hook = null;
    },
    undo: () => making.controller?.abandon(),
  };
  const up: Step = {
    name: 'up',
    says: () => [`set ${where} up${given === '' ? '' : `, with ${given}`}`],
    run: async () => {
      if (how === 'adopted') netns.run(() => setAsAsked(attachment, options));
      // An adopted interface is left as it is if there are no addresses to add.
      if (how === 'adopted' && given === '') return;
      netns.run(() => bringUp(attachment, options));
      await peerTransmits(attachment, made.peerNetns);
    },
  };
  const hairpin: Step = {
    name: 'hairpin',
    says: () => [
      `route what is sent to ${options.addresses.map(({ address }) => address).join(', ')} through ${iface}: rules before the local table`,
    ],
    run: () => netns.run(() => loopAddresses(attachment, options)),
  };
  const running: Step = {
    name: 'running',
    says: () => [options.hairpin && `route each address that ${where} gets later through it, too`],
    run: () => {
      const link = netns.run(() => linkByIndex(attachment.ifindex));
      if (!link)
        throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it just now', {
          hint: HINTS.removed,
        });
      attachment.phase = 'running';
      saveAttachment(attachment);
      made.controller.watchLink(link, how);
    },
  };
  return given === '' ? [started, up, running] : [started, up, hairpin, running];
}

/**
 * The hook to load, or the faults to put in place: those of the crashed controller, unless an option names others or a
 * hook. The same holds for an impairment by rules.
 */
function judgeOf({ hook, faults: asked, seed }: AttachOptions, before: Attachment): JudgeWish | null {
  if (hook !== null) return { file: hook, onError: null };
  if (asked !== null) return { faults: readWish(asked, seed) };
  const { impairment } = before;
  if (impairment?.words && impairedBy(impairment) === 'faults') return impairmentWish(impairment.words);
  const faults = faultsOfRecord(before.faults);
  return faults && { faults };
}

/** Gives an adopted interface the MTU and the Ethernet address that are asked for. */
function setAsAsked({ iface, ifindex, taken }: Attachment, { mac, mtu }: AttachOptions): void {
  if (taken || (mac === null && mtu === null)) return; // a user's own dummy keeps both
  try {
    if (mtu !== null) setNumbers(ifindex, { mtu });
    if (mac !== null) setMac(ifindex, mac);
  } catch (cause) {
    throw refused(
      `interface ${iface}`,
      cause,
      'ENODEV',
      'somebody removed it while it was being adopted',
      HINTS.removed,
    );
  }
}

/** Sets the interface up and adds its addresses. */
function bringUp(attachment: Attachment, options: AttachOptions): void {
  const { iface, ifindex } = attachment;
  if (!attachment.taken) withoutAddressDetection(iface);
  // Addresses that an adopted interface has already are left alone, with the routes that belong to them.
  const present = attachment.added.length > 0 ? addresses(iface) : [];
  const missing = options.addresses.filter(
    ({ address, prefix }) => !present.some((had) => had.address === address && had.prefix === prefix),
  );
  requireIpv6For(iface, { ...options, replace: false });
  // Recorded before it is done, so that teardown can undo it after a kill in between.
  attachment.added = [...new Set([...attachment.added, ...options.addresses.map(({ address }) => address)])];
  saveAttachment(attachment);
  try {
    setUp(ifindex);
    for (const address of missing) setAddress(ifindex, address);
  } catch (cause) {
    throw refused(`interface ${iface}`, cause, 'ENODEV', 'somebody removed it while it was being made', HINTS.removed);
  }
}

/** How long the kernel may take to notice a carrier, in milliseconds; it needs 1 unless processors are scarce. */
const CARRIER_MS = 1000;

/**
 * Waits until the peer can transmit. The kernel gives it a qdisc from a work queue once vnet0 is up (linkwatch_event in
 * net/core/link_watch.c), and until then drops what the poller sends, without an error.
 */
async function peerTransmits({ peer, carrierLost }: Attachment, peerNetns: Netns): Promise<void> {
  if (!peer || carrierLost) return;
  const isReady = (): boolean => peerNetns.run(() => linkByIndex(peer.ifindex))?.qdisc !== 'noop';
  for (const end = clock.now() + CARRIER_MS; !isReady() && clock.now() < end;) await delay(1);
}

/** Routes the addresses of the options through the interface. */
function loopAddresses(attachment: Attachment, options: AttachOptions): void {
  const { iface, ifindex, hairpin: before } = attachment;
  const added = options.addresses.filter(({ address }) => !before?.addresses.some((had) => had.address === address));
  attachment.hairpin = { addresses: before?.addresses ?? [], table: loopTable(ifindex) };
  saveAttachment(attachment);
  attachment.hairpin = syncHairpin(iface, ifindex, [...(before?.addresses ?? []), ...added], before);
}
