// SPDX-License-Identifier: MIT
/**
 * The parts of an attachment that its supervisor looks at: how to notice that another program has removed one, and how
 * to restore it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { BpfProgram, TcLink } from 'libbpf-ts';

import { sumCounters } from '../datapath/kernel-counters';
import type { Datapath } from '../datapath/programs';
import { roomFrameCost } from '../link/credit';
import { linkByIndex, setUp } from '../link/links';
import { readNetem } from '../link/netem';
import { keepPeerNetns, type Netns, openPeerNetns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { makeTbf } from '../link/room';
import { makePinDirectory, pinDirectory, ringPin } from '../state/bpffs';
import { FileLock } from '../state/lock';
import type { Room } from '../state/record';
import {
  controllerLock,
  controlSocket,
  lockEverything,
  readRecord,
  saveAttachment,
  type Attachment,
  impairedBy,
} from '../state/store';
import { peerPart } from './carrier';
import { peerNetnsLinkParts } from './link-settings';
import type { Finding, Part } from './supervisor';

export interface Supervised {
  attachment: Attachment;
  datapath: Datapath;
  peerNetns: Netns;
  /** The program `resegment`, which adoption needs; null if there is none. */
  resegment: BpfProgram | null;
  /** The MTU that the peer was last given; null while it has to be given another one. */
  mtuOfPeer: () => number | null;
  log: (text: string) => void;
  /** Applies the impairment again. */
  impairAgain: () => Promise<void>;
  listenAgain: () => Promise<void>;
  /** Takes ownership of a lock, which is released with the others. */
  own: (lock: FileLock) => void;
}

export function partsOf(supervised: Supervised): Part[] {
  const { attachment, peerNetns } = supervised;
  return [
    ...(attachment.peer ? [peerNetnsPart(supervised), peerPart(supervised)] : []),
    ...peerNetnsLinkParts(supervised),
    ...(attachment.peer ? [impairmentPart(supervised), strayNote(supervised)] : []),
    ...attachment.rooms.map((room, queue) => roomPart(attachment, room, queue, peerNetns)),
    ...programParts(supervised),
    pinsPart(supervised),
    recordPart(attachment),
    lockPart(supervised),
    socketPart(supervised),
  ];
}

function peerNetnsPart({ peerNetns }: Supervised): Part {
  const look = (): Finding | null => {
    using mounted = openPeerNetns();
    if (mounted) return null; // a mount that is not ours is left to its owner
    const repair = (): void => {
      using _lock = lockEverything(0);
      keepPeerNetns(peerNetns);
    };
    return { what: 'somebody unmounted the peer namespace', repair, always: true };
  };
  return { name: 'the mount of the peer namespace', look };
}

function impairmentPart({ attachment, peerNetns, impairAgain }: Supervised): Part {
  const look = (): Finding | null => {
    const { iface, impairment, peer } = attachment;
    if (impairedBy(impairment) !== 'netem' || !peer || peerNetns.run(() => readNetem(peer.name))) return null;
    return { what: `somebody removed the impairment of ${iface}`, repair: impairAgain };
  };
  return { name: 'the impairment', look };
}

function roomPart(attachment: Attachment, { entry, exit }: Room, queue: number, peerNetns: Netns): Part {
  const inside = <T>(body: () => T): T => peerNetns.run(body);
  const look = (): Finding | null => {
    const { iface, queuePackets, superpacketBytes } = attachment;
    const ends = [entry, exit].map(({ ifindex }) => inside(() => linkByIndex(ifindex)));
    // Cannot be restored: its frames are lost with it, and the programs know it by its ifindex.
    if (ends.includes(null)) return { what: `somebody removed the waiting room of ${iface}` };
    const down = ends.flatMap((link) => (link && !link.up ? [link.ifindex] : []));
    if (down.length > 0)
      return {
        what: `somebody set the waiting room of ${iface} down`,
        repair: () => inside(() => down.forEach(setUp)),
      };
    if (ends[0]?.qdisc === 'tbf') return null;
    return {
      what: `somebody removed the tbf of the waiting room of ${iface}`,
      repair: () => inside(() => makeTbf(entry.ifindex, roomFrameCost(queuePackets), superpacketBytes)),
    };
  };
  return { name: `waiting room ${queue}`, look };
}

/** The programs. One that another process has detached is not attached again: it is not wanted there. */
function programParts({ attachment, datapath, peerNetns }: Supervised): Part[] {
  const { tx, sink, resegment, release } = datapath.links;
  const part = (name: string, isAttached: () => boolean): Part => ({
    name: `program ${name}`,
    look: () => (isAttached() ? null : { what: `somebody detached the program ${name} of ${attachment.iface}` }),
  });
  const inPeerNetns = (name: string, link: TcLink | null): Part[] =>
    link ? [part(name, () => peerNetns.run(() => link.isAttached()))] : [];
  const onInterface = (): boolean => {
    using netns = openAttachmentNetns(attachment);
    return netns?.run(() => tx.isAttached()) ?? true; // without its namespace the interface is gone
  };
  return [
    part('tx', onInterface),
    ...inPeerNetns('sink', sink),
    ...inPeerNetns('resegment', resegment),
    ...release.flatMap((link) => inPeerNetns('release', link)),
  ];
}

/** Logs the first frame that the peer receives without a mark: the loop may miss all that are like it. */
function strayNote({ attachment, datapath, log }: Supervised): Part {
  const stray = (): number => sumCounters(datapath.maps.counters.getPerCpu(new Uint8Array(4)) ?? []).stray;
  const before = stray();
  let isLogged = false;
  const look = (): null => {
    if (isLogged || stray() <= before) return null;
    isLogged = true;
    log(
      `${attachment.iface} sends frames without our mark (stray): a program or filter before ours on its egress ends the chain, or the sender bypasses the egress, and they are not looped; or a program behind ours erases it`,
    );
    return null;
  };
  return { name: 'what is not looped', look };
}

function pinsPart({ attachment, datapath, resegment }: Supervised): Part {
  const { rings, control, counters, batch, trace } = datapath.maps;
  const { links } = datapath;
  const pins = pinDirectory(attachment.id);
  const at = (name: string): string => path.join(pins, name);
  const all: readonly (readonly [string, { pin(path: string): void }])[] = [
    ...rings.map((ring, queue) => [at(ringPin(queue)), ring] as const),
    ...Object.entries({ control, counters, batch, trace }).map(([name, map]) => [at(name), map] as const),
    // A clsact filter does not depend on its pin, so only pins of tcx links are checked.
    ...[links.tx, links.sink, links.resegment, ...links.release].flatMap((link) =>
      link?.kind === 'tcx' && link.pinPath !== undefined ? [[link.pinPath, link] as const] : [],
    ),
    ...(resegment ? [[at('resegment'), resegment] as const] : []),
  ];
  const look = (): Finding | null => {
    const missing = all.filter(([file]) => !fs.existsSync(file));
    if (missing.length === 0) return null;
    const repair = (): void => {
      makePinDirectory(attachment.id);
      for (const [file, object] of missing) object.pin(file);
    };
    return {
      what: `somebody removed pins of ${attachment.iface} (${missing.map(([file]) => path.basename(file)).join(', ')})`,
      repair,
      always: true,
    };
  };
  return { name: 'the pins', look };
}

/**
 * The record. It is restored to what the controller knows, including what it could not write while the disk was full.
 */
function recordPart(attachment: Attachment): Part {
  const look = (): Finding | null => {
    if (readRecord(attachment.id) === JSON.stringify(attachment)) return null;
    return {
      what: `the record of ${attachment.iface} is not there, or not as it was written`,
      repair: () => saveAttachment(attachment),
      always: true,
    };
  };
  return { name: 'the record', look };
}

/** The lock of the controller. Without it, other commands believe that the controller has crashed. */
function lockPart({ attachment, own }: Supervised): Part {
  const file = controllerLock(attachment.id);
  const look = (): Finding | null => {
    if (FileLock.isHeld(file)) return null;
    const repair = (): void => {
      saveAttachment(attachment); // makes the directory if it is gone
      const lock = FileLock.tryTake(file);
      if (lock) own(lock);
    };
    return { what: `somebody removed the lock of ${attachment.iface}`, repair, always: true };
  };
  return { name: 'the lock', look };
}

function socketPart({ attachment, listenAgain }: Supervised): Part {
  const file = controlSocket(attachment.id);
  const look = (): Finding | null =>
    fs.lstatSync(file, { throwIfNoEntry: false })?.isSocket()
      ? null
      : { what: `somebody removed the control socket of ${attachment.iface}`, repair: listenAgain, always: true };
  return { name: 'the control socket', look };
}
