// SPDX-License-Identifier: MIT
/**
 * The BPF programs of one interface: loads bpf/vnet.bpf.c, makes its maps and rings, pins them, and attaches `sink` to
 * the peer and `tx` to vnet0.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import {
  attachTc,
  BpfError,
  BpfMap,
  BpfObject,
  BpfProgram,
  libbpfVersion,
  MapType,
  type TcLink,
  VerifierError,
} from 'libbpf-ts';

import { HINTS, missingLibrary, VnetError } from '../errors';
import { roomFrameCost, roomFrameMax, txBytesLimit } from '../link/credit';
import type { Netns } from '../link/netns';
import { RUNNING_ROWS, type RunningOptions } from '../options/attach-options';
import { passesUdpGso, readsSkbsDirectly } from '../requirements';
import { pinDirectory, ringPin } from '../state/bpffs';
import type { Attachment } from '../state/store';

// Maps of maps: an entry is written as the descriptor of the inner map.

/** A key or a value of four bytes. */
export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** Puts the inner map into the outer one, which holds it from then on. Both stay the caller's. */
export const setInner = (outer: BpfMap, index: number, inner: BpfMap): void => outer.set(u32(index), u32(inner.fd));

/** The file of the built object; VNET_BPF_OBJECT overrides it, for tests and for users who build their own. */
export function objectFile(): string {
  return process.env['VNET_BPF_OBJECT'] ?? path.join(__dirname, '..', 'bpf', 'vnet.bpf.o');
}

const MAPS = ['control', 'counters', 'batch', 'trace'] as const;

/** The pin of `resegment`, for an adoption that merges where nothing was merged before. */
const RESEGMENT_PIN = 'resegment';

/**
 * Whether neighbouring frames of a flow are merged on the reinject path. The peer's counter shows how much of a merged
 * packet was delivered that did not fit as a whole; with several queues it counts those of the others, too.
 */
export const merges = ({ gro, queues }: Attachment): boolean => gro && queues === 1 && passesUdpGso();

/** One ring per queue; `control` and `batch` have an entry for each. */
export type DatapathMaps = Record<(typeof MAPS)[number], BpfMap> & { rings: readonly BpfMap[] };

/** The maps that the poller of one queue works on, and its index in those that queues share. */
export interface QueueMaps {
  queue: number;
  ring: BpfMap;
  control: BpfMap;
  batch: BpfMap;
}

export const queuesOf = ({ rings, control, batch }: DatapathMaps): QueueMaps[] =>
  rings.map((ring, queue) => ({ queue, ring, control, batch }));

/** The maps and attachments of one interface, owned; closing leaves what is pinned. */
export class Datapath implements Disposable {
  constructor(
    readonly maps: DatapathMaps,
    /** `release` is attached to the exit of each waiting room, `resegment` only where merged packets are segmented. */
    readonly links: { tx: TcLink; sink: TcLink | null; resegment: TcLink | null; release: readonly TcLink[] },
  ) {}

  /** The attachments as they are stored in an attachment's record. */
  linkStates(): NonNullable<Attachment['links']> {
    const { tx, sink, resegment, release } = this.links;
    return {
      tx: tx.toJSON(),
      sink: sink?.toJSON() ?? null,
      resegment: resegment?.toJSON() ?? null,
      release: release.map((link) => link.toJSON()),
    };
  }

  close(): void {
    const { tx, sink, resegment, release } = this.links;
    const { rings, ...maps } = this.maps;
    for (const link of [tx, sink, resegment, ...release]) link?.close();
    for (const map of [...rings, ...Object.values(maps)]) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The object's file. Throws a VnetError if it was never built. */
export function requireObject(): string {
  const file = objectFile();
  if (fs.existsSync(file)) return file;
  throw new VnetError('BPF_OBJECT', `BPF object ${file}`, 'there is no such file', { hint: HINTS.object });
}

/** The version of libbpf. Throws a VnetError if it cannot be loaded. */
export const requireLibbpf = (): string => explain('libbpf', libbpfVersion);

/**
 * Loads the programs for a planned attachment, on another thread: loading takes as long as everything else, and the
 * interface can be made meanwhile. The caller closes the object. Rejects with a VnetError.
 */
export async function loadPrograms(attachment: Attachment): Promise<BpfObject> {
  try {
    return await load(attachment);
  } catch (error) {
    throw explained('the BPF programs', error);
  }
}

/** The options that the programs take as they are. */
const optionConstants = (options: RunningOptions): Record<string, number | boolean> =>
  Object.fromEntries(
    RUNNING_ROWS.flatMap(({ constant, key }) => (constant === undefined ? [] : [[constant, options[key] ?? 0]])),
  );

async function load(attachment: Attachment): Promise<BpfObject> {
  const object = BpfObject.open(requireObject());
  try {
    const { queues, rooms, ringBytes, superpacketBytes } = attachment;
    const frameMax = roomFrameMax(superpacketBytes);
    for (const map of ['rings', 'control', 'batch']) object.setMaxEntries(map, queues);
    object.setConstants({
      ...optionConstants(attachment),
      low_watermark_bytes: attachment.lowWatermarkBytes,
      low_watermark_packets: attachment.lowWatermarkPackets,
      gso_udp_l4: passesUdpGso(),
      superpacket_bytes: superpacketBytes,
      direct_reads: readsSkbsDirectly(),
      hold: attachment.whenFull === 'hold',
      tx_bytes_limit: txBytesLimit({ ringBytes, frameMax }, attachment.whenFull),
      reinject_mark: attachment.reinjectMark,
      room_entries: rooms.map(({ entry }) => entry.ifindex),
      room_exits: rooms.map(({ exit }) => exit.ifindex),
      room_frame_max: frameMax,
      room_frame_cost: roomFrameCost(attachment.queuePackets),
    });
    object.setAutoload('sink', attachment.peer !== null);
    object.setAutoload('resegment', attachment.peer !== null);
    object.setAutoload('release', rooms.length > 0);
    await object.loadAsync();
    return object;
  } catch (error) {
    object.close();
    throw error;
  }
}

/**
 * Makes and pins the rings of an attachment while the programs are loaded. The caller closes them, unless a Datapath
 * owns them. Throws a VnetError.
 */
export function makeRings({ queues, ringBytes }: Attachment, pins: string): BpfMap[] {
  const rings: BpfMap[] = [];
  try {
    for (let queue = 0; queue < queues; queue++) rings.push(makeRing(queue, ringBytes, pins));
    return rings;
  } catch (error) {
    for (const ring of rings) ring.close();
    throw error;
  }
}

/**
 * Pins and attaches what is loaded, and gives it the rings. `pins` is a directory on bpffs. Attachments outlive this
 * process, because the links are pinned. Closes the object; the Datapath owns the rings. Throws a VnetError that says
 * which step failed.
 */
export function openDatapath(
  attachment: Attachment,
  object: BpfObject,
  rings: readonly BpfMap[],
  pins: string,
  netns: Netns,
  peerNetns: Netns,
): Datapath {
  try {
    for (const name of MAPS) pinMap(object, name, path.join(pins, name));
    handOver(object, rings);
    // Against the direction of the frames: what tx lets go must meet sink, and what sink sends on, release.
    const { rooms, peer } = attachment;
    const release = rooms.map(({ exit }, queue) =>
      peerNetns.run(() => attach(object, 'release', exit.ifindex, 'egress', path.join(pins, `release${queue}_link`))),
    );
    const sink =
      peer && peerNetns.run(() => attach(object, 'sink', peer.ifindex, 'ingress', path.join(pins, 'sink_link')));
    if (peer) pinProgram(object, 'resegment', path.join(pins, RESEGMENT_PIN));
    const resegment = attachResegment(attachment, pins, peerNetns);
    const tx = netns.run(() => attach(object, 'tx', attachment.ifindex, 'egress', path.join(pins, 'tx_link')));
    const maps = {
      rings,
      control: object.map('control'),
      counters: object.map('counters'),
      batch: object.map('batch'),
      trace: object.map('trace'),
    };
    return new Datapath(maps, { tx, sink, resegment, release });
  } finally {
    object.close();
  }
}

function makeRing(queue: number, bytes: number, pins: string): BpfMap {
  return explain(`a ring of ${bytes} bytes`, () => {
    const ring = BpfMap.create({ type: MapType.RINGBUF, name: 'ring', keySize: 0, valueSize: 0, maxEntries: bytes });
    try {
      ring.pin(path.join(pins, ringPin(queue)));
      return ring;
    } catch (error) {
      ring.close();
      throw error;
    }
  });
}

function handOver(object: BpfObject, rings: readonly BpfMap[]): void {
  using map = object.map('rings');
  explain('the rings', () => rings.forEach((ring, queue) => setInner(map, queue, ring)));
}

function pinMap(object: BpfObject, name: string, file: string): void {
  using map = object.map(name);
  map.pin(file);
}

function pinProgram(object: BpfObject, name: string, file: string): void {
  using program = object.program(name);
  program.pin(file);
}

/** Attaches the pinned `resegment` to the peer if merged packets are to be segmented; else null. Throws a VnetError. */
export function attachResegment(attachment: Attachment, pins: string, peerNetns: Netns): TcLink | null {
  const { peer } = attachment;
  if (!peer || !merges(attachment)) return null;
  const pinned = { program: () => BpfProgram.openPinned(path.join(pins, RESEGMENT_PIN)) };
  return peerNetns.run(() => attach(pinned, 'resegment', peer.ifindex, 'egress', path.join(pins, 'resegment_link')));
}

/** The pinned `resegment` of an attachment, which the caller closes; null where there is none. */
export function openResegment({ id, peer }: Attachment): BpfProgram | null {
  const pin = path.join(pinDirectory(id), RESEGMENT_PIN);
  return peer && fs.existsSync(pin) ? BpfProgram.openPinned(pin) : null;
}

/** clsact if VNET_BPF_TEST_ATTACH says so: tests on a new kernel then see what an old one does. */
const preferredAttachment = (): 'tcx' | 'clsact' =>
  process.env['VNET_BPF_TEST_ATTACH'] === 'clsact' ? 'clsact' : 'tcx';

/** Attaches a program and pins the attachment, so that it outlives this process. */
function attach(
  from: Pick<BpfObject, 'program'>,
  program: string,
  ifindex: number,
  direction: 'ingress' | 'egress',
  pin: string,
): TcLink {
  return explain(`program ${program}`, () => {
    using loaded = from.program(program);
    const link = attachTc(loaded, { ifindex, direction, prefer: preferredAttachment() });
    link.pin(pin);
    return link;
  });
}

/** Adds context to an error of the binding: what failed, and what the user can do. */
function explain<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw explained(what, error);
  }
}

function explained(what: string, error: unknown): unknown {
  if (error instanceof VerifierError) {
    return new VnetError('VERIFIER', what, error.message, {
      hint: 'this is a bug in vnet-bpf or an unsupported kernel; --debug shows the verifier log',
      cause: error,
    });
  }
  const missing = missingLibrary(error);
  if (missing) return missing;
  if (error instanceof BpfError) {
    return new VnetError('BPF_OBJECT', what, error.message, {
      hint: 'vnet-bpf doctor looks for the cause',
      cause: error,
    });
  }
  return error;
}
