// SPDX-License-Identifier: MIT
/**
 * The kernel half of one interface: loads bpf/vnet.bpf.c, pins its maps, attaches `sink` to the
 * hidden peer and `tx` to vnet0.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { attachTc, BpfError, BpfObject, type BpfMap, libbpfVersion, LibraryError, type TcLink, VerifierError } from 'libbpf-ts';

import { VnetError } from '../errors';
import { passesUdpGso } from '../kernel-features';
import type { Netns } from '../link/netns';
import type { Attachment } from '../state/store';
import { roomFrameCost, ROOM_FRAME_MAX, txBytesLimit } from './credit';

/** The built object; VNET_BPF_OBJECT overrides it, for tests and for people who try their own. */
export function objectFile(): string {
  return process.env['VNET_BPF_OBJECT'] ?? path.join(__dirname, '..', 'bpf', 'vnet.bpf.o');
}

const MAPS = ['ring', 'control', 'counters', 'batch', 'tape'] as const;

export type DatapathMaps = Record<(typeof MAPS)[number], BpfMap>;

/** The maps and attachments of one interface, owned; closing leaves what is pinned. */
export class Datapath implements Disposable {
  constructor(
    readonly maps: DatapathMaps,
    readonly links: { tx: TcLink; sink: TcLink | null; retry: TcLink | null },
  ) {}

  close(): void {
    for (const link of Object.values(this.links)) link?.close();
    for (const map of Object.values(this.maps)) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The object's file; throws if it was never built. */
export function requireObject(): string {
  const file = objectFile();
  if (fs.existsSync(file)) return file;
  throw new VnetError('BPF_OBJECT', `BPF object ${file}`, 'there is no such file', { hint: 'make build compiles it' });
}

/** Throws if libbpf cannot be loaded. */
export const requireLibbpf = (): string => explain('libbpf', libbpfVersion);

function loadObject(attachment: Attachment): BpfObject {
  const object = BpfObject.open(requireObject());
  try {
    object.setMaxEntries('ring', attachment.ringBytes);
    object.setConstants({
      queue_packets: attachment.queuePackets,
      low_watermark_bytes: attachment.lowWatermarkBytes,
      low_watermark_packets: attachment.lowWatermarkPackets,
      gso_udp_l4: passesUdpGso(),
      hold: attachment.whenFull === 'hold',
      tx_bytes_limit: txBytesLimit(attachment.ringBytes, attachment.whenFull),
      reinject_mark: attachment.reinjectMark,
      room_ifindex: attachment.room?.entry.ifindex ?? 0,
      room_frame_max: ROOM_FRAME_MAX,
      room_frame_cost: roomFrameCost(attachment.queuePackets),
    });
    object.setAutoload('sink', attachment.peer !== null);
    object.setAutoload('retry', attachment.room !== null);
    object.load();
    return object;
  } catch (error) {
    object.close();
    throw error;
  }
}

/**
 * Loads, pins and attaches. `pins` is an empty directory on bpffs. What was attached stays when
 * this process ends: the links are pinned. Throws a VnetError that says which step failed.
 */
export function openDatapath(attachment: Attachment, pins: string, netns: Netns, wireNetns: Netns): Datapath {
  const object = explain('the BPF programs', () => loadObject(attachment));
  try {
    for (const name of MAPS) pinMap(object, name, path.join(pins, name));
    // Against the direction of the frames: what tx lets go must meet sink, and what sink sends on, retry.
    const { room, peer } = attachment;
    const retry = room && wireNetns.run(() => attach(object, 'retry', room.exit.ifindex, 'egress', pins));
    const sink = peer && wireNetns.run(() => attach(object, 'sink', peer.ifindex, 'ingress', pins));
    const tx = netns.run(() => attach(object, 'tx', attachment.ifindex, 'egress', pins));
    const maps = {
      ring: object.map('ring'),
      control: object.map('control'),
      counters: object.map('counters'),
      batch: object.map('batch'),
      tape: object.map('tape'),
    };
    object.close();
    return new Datapath(maps, { tx, sink, retry });
  } catch (error) {
    object.close();
    throw error;
  }
}

function pinMap(object: BpfObject, name: string, file: string): void {
  using map = object.map(name);
  map.pin(file);
}

/** VNET_BPF_TEST_ATTACH=clsact: tests see on a new kernel what an old one does. */
const preferredAttachment = (): 'tcx' | 'clsact' => (process.env['VNET_BPF_TEST_ATTACH'] === 'clsact' ? 'clsact' : 'tcx');

/** Attaches a program and pins the attachment, so that it outlives this process. */
function attach(object: BpfObject, program: string, ifindex: number, direction: 'ingress' | 'egress', pins: string): TcLink {
  return explain(`program ${program}`, () => {
    using loaded = object.program(program);
    const link = attachTc(loaded, { ifindex, direction, prefer: preferredAttachment() });
    link.pin(path.join(pins, `${program}_link`));
    return link;
  });
}

/** Gives an error of the binding its place: what we were doing, and what the user can do. */
function explain<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof VerifierError) {
      throw new VnetError('VERIFIER', what, error.message, {
        hint: 'this is a bug in vnet-bpf or an unsupported kernel; --debug shows the verifier log',
        cause: error,
      });
    }
    if (error instanceof LibraryError) {
      throw new VnetError('LIBBPF_MISSING', error.library, 'this library, libbpf 1.0 or later, cannot be loaded', {
        hint: 'apt-get install libbpf1, or set LIBBPF_TS_LIBRARY to its path',
        cause: error,
      });
    }
    if (error instanceof BpfError) {
      throw new VnetError('BPF_OBJECT', what, error.message, { hint: 'vnet-bpf doctor looks for the cause', cause: error });
    }
    throw error;
  }
}
