// SPDX-License-Identifier: MIT
/** One queue in the polling thread: maps what the main thread has opened, and assembles the poller. */
import { MappedMemory, RingBuffer } from 'libbpf-ts';

import { BATCH, CONTROL } from '../layout';
import { roomFrameCost, type RoomSockets, WaitingRoom } from '../link/credit';
import { transmittedFrames } from '../link/links';
import type { PollOptions } from '../options/attach-options';
import { Batch, iovecBytes } from './batch';
import { Gro, groHeaderBytes } from './gro';
import { PollLoop } from './loop';
import { BusyPoll, Moderation, REST_FRAMES } from './pacing';
import { PacketSocket, PeerFarEnd } from './packet-socket';
import { Poller } from './poller';
import { type GateLimits, QueueGate } from './queue-gate';
import { SharedWords } from './shared-memory';

/** Bytes of the smallest ring that allows rests: four times REST_FRAMES of 1514 bytes. */
const MODERATED_RING_BYTES = 256 << 10;

/** What the main thread passes. It keeps the descriptors, open until the loop has ended. */
export interface PollRequest {
  /** Tells interfaces apart in messages. */
  key: string;
  /** Index of the queue, and of the poller's entry in `control` and `batch`. */
  queue: number;
  ringFd: number;
  controlFd: number;
  batchFd: number;
  socketFd: number;
  options: PollOptions;
  /** Whether neighbouring frames of a flow are merged: `options.gro`, where that is possible. */
  merges: boolean;
  limits: GateLimits;
  /** Sockets and entry of the waiting room; null where frames are refused instead of held. */
  room: (RoomSockets & { ifindex: number }) | null;
  /** The peer, and a socket of its namespace that only this queue's poller uses; null where there is none. */
  peer: { ifindex: number; socketFd: number } | null;
  /** Whether the peer transmits only what this queue sends. */
  countsAlone: boolean;
  /** COMMAND words of loop.ts. */
  command: SharedArrayBuffer;
}

export interface PolledQueue {
  readonly key: string;
  readonly ringFd: number;
  readonly loop: PollLoop;
  /** Unmaps everything; the loop must have ended. */
  close(): void;
}

/** Opens a queue. Throws a BpfError if something cannot be mapped; nothing stays open then. */
export function openQueue(request: PollRequest, onQueue: () => void, onStalled: () => void): PolledQueue {
  const mappings: { close(): void }[] = [];
  const close = (): void => mappings.forEach((mapping) => mapping.close());
  const own = <T extends { close(): void }>(mapping: T): T => {
    mappings.push(mapping);
    return mapping;
  };
  try {
    return { key: request.key, ringFd: request.ringFd, loop: loopOf(request, own, onQueue, onStalled), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Registers what has to be closed at the end. */
export type Own = <T extends { close(): void }>(mapping: T) => T;

/** Whether merged packets are segmented again: only where the peer's counter shows how many of their frames arrived. */
const resegments = ({ peer, countsAlone }: Pick<PollRequest, 'peer' | 'countsAlone'>): boolean =>
  peer !== null && countsAlone;

/** Maps what every kind of poller needs. */
export function mapParts(request: Omit<PollRequest, 'command'>, own: Own) {
  const { options, queue, ringFd, controlFd, batchFd, socketFd, limits, peer } = request;
  const counted = resegments(request) ? peer : null;
  const { reader, data, dataAddress } = own(new RingBuffer(ringFd));
  const controlMemory = own(MappedMemory.map({ fd: controlFd, length: (queue + 1) * CONTROL.size }));
  const batchMemory = own(MappedMemory.map({ fd: batchFd, length: (queue + 1) * BATCH.size }));
  const control = new SharedWords(controlMemory.buffer, queue * CONTROL.size, CONTROL.size);
  const room = request.room && new WaitingRoom(request.room, request.room.ifindex, roomFrameCost(limits.queuePackets));
  const gate = new QueueGate(control, reader, limits, room);
  const sender = PacketSocket.borrow(socketFd);
  const delivered = (): number | null => counted && transmittedFrames(counted.socketFd, counted.ifindex);
  const batchOf = (messages: number): Batch =>
    new Batch(batchMemory, own(MappedMemory.map({ length: iovecBytes(messages) })), messages, queue * BATCH.size);
  const farEnd = peer && new PeerFarEnd(peer.socketFd, peer.ifindex);
  return { options, ring: reader, data, dataAddress, control, gate, sender, delivered, farEnd, batchOf };
}

/**
 * Whether the loop busy-polls, or rests. A fixed busy-poll time excludes rests, and a short queue has no space for what
 * arrives during one.
 */
export function paceOf({ options: { busyPollUs }, limits }: Pick<PollRequest, 'options' | 'limits'>): {
  busyPoll: BusyPoll;
  moderation: Moderation;
} {
  const { ringBytes, queuePackets } = limits;
  const hasSpace = ringBytes >= MODERATED_RING_BYTES && (queuePackets === 0 || queuePackets >= 4 * REST_FRAMES);
  return {
    busyPoll: new BusyPoll(busyPollUs === null ? null : busyPollUs / 1000),
    moderation: new Moderation(busyPollUs === null && hasSpace),
  };
}

/** What merges neighbouring frames in the ring with `data`; null where nothing is merged. */
export function groOf(request: Omit<PollRequest, 'command'>, data: Uint8Array, own: Own): Gro | null {
  const { options, merges } = request;
  return merges
    ? new Gro(data, own(MappedMemory.map({ length: groHeaderBytes(options.budget) })), resegments(request))
    : null;
}

function loopOf(request: PollRequest, own: Own, onQueue: () => void, onStalled: () => void): PollLoop {
  const { options } = request;
  const { batchOf, ...parts } = mapParts(request, own);
  const { gate, ring, control, data } = parts;
  const poller = new Poller({ ...parts, batch: batchOf(options.budget), gro: groOf(request, data, own) });
  return new PollLoop({
    options,
    poller,
    gate,
    ring,
    control,
    command: new Int32Array(request.command),
    ...paceOf(request),
    onQueue,
    onStalled,
  });
}
