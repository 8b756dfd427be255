// SPDX-License-Identifier: MIT
/**
 * The credit of a waiting room: its tbf, how large a grant may be, and the message that grants it.
 *
 * The tbf sends nothing by itself: each grant fills its bucket with that many bytes, which the frames that leave use
 * up. A grant is at most what the ring has space for, so a frame that leaves the room always finds space in the ring
 * and none is requeued: that keeps frames in order. docs/backpressure.md explains why.
 */
import * as fs from 'node:fs';

import { KICK_MARK } from '../layout';
import { receiveBytes, sendBytes, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket } from '../native/sockets';
import { attribute, message, numberAttribute, openRtnetlink, textAttribute } from './rtnetlink';

/**
 * The most ring bytes that a record takes for each byte of its frame and RECORD_COST (RECORD_SIZES in bpf/capture.h).
 */
const RING_BYTES_PER_BYTE = 9 / 8;
const RECORD_COST = 104;
/**
 * The largest packet that the room passes, and the smallest size that its bucket can have, in bytes. Half as much again
 * as the largest superpacket: a qdisc counts the headers of each segment.
 */
export const roomFrameMax = (superpacketBytes: number): number => superpacketBytes * 1.5;
/** The largest size of the room's queue in bytes; frames beyond it are dropped, counted and announced. */
export const ROOM_BYTES = 256 << 20;
/** The largest grant in bytes: it has 32 bits, and this leaves a margin. */
const GRANT_MAX = 2 ** 31;

/**
 * Credit that a frame uses besides its length, in bytes: the overhead of the tbf. With --queue-packets it is so large
 * that a grant is in effect a number of frames; 65535 is the most that struct tc_ratespec can hold.
 */
export const roomFrameCost = (queuePackets: number): number => (queuePackets > 0 ? 65535 : RECORD_COST);

/** Ring bytes that the frames of the smallest bucket may need. */
const leastGrantBytes = (frameMax: number): number => Math.ceil((frameMax + 2 * RECORD_COST) * RING_BYTES_PER_BYTE);

/** The size of a queue that holds frames: its ring, and roomFrameMax() of its interface, both in bytes. */
export interface QueueSize {
  ringBytes: number;
  frameMax: number;
}

/**
 * Ring bytes that `tx` leaves free. The bucket cannot be emptied, so `frameMax` bytes may leave the room before
 * anything is granted. Larger rings leave more free, for the CPUs that pass the check in `tx` at the same moment.
 */
export function headroomBytes({ ringBytes, frameMax }: QueueSize): number {
  return Math.max(leastGrantBytes(frameMax), ringBytes >>> 3);
}

/** Bytes of the ring that `tx` may fill. */
export function txBytesLimit(queue: QueueSize, whenFull: 'hold' | 'drop'): number {
  return whenFull === 'hold' ? queue.ringBytes - headroomBytes(queue) : queue.ringBytes;
}

export interface QueueFill extends QueueSize {
  usedBytes: number;
  /** 0: only bytes limit the queue. */
  queuePackets: number;
  packets: number;
}

/**
 * The next grant in bytes, or 0 if it has to wait.
 *
 * `outstanding` is what is left of the latest grant. It has to be nearly used up: then at most one frame of the largest
 * size is on its way, for which the headroom has space. The rest of the headroom is for frames that are not counted
 * yet: from a sender that looked at the gate just before the queue stopped, and between the room's qdisc and `release`.
 * If the headroom is the smallest possible (rings below 1 MiB), such a frame may be requeued.
 */
export function nextGrant(
  { ringBytes, frameMax, usedBytes, queuePackets, packets }: QueueFill,
  outstanding: number,
): number {
  const frameCost = roomFrameCost(queuePackets);
  if (outstanding > frameMax + frameCost) return 0;
  const bytes =
    Math.floor((ringBytes - usedBytes - headroomBytes({ ringBytes, frameMax })) / RING_BYTES_PER_BYTE) - RECORD_COST;
  if (queuePackets === 0) return bytes >= frameMax ? Math.min(bytes, GRANT_MAX) : 0;
  // The bucket holds the grant and one overhead, which pays for at most `free` frames of 14 bytes or more.
  const costOf = (frames: number): number => frames * (frameCost + 14) - frameCost;
  const free = queuePackets - packets;
  const frames = Math.min(costOf(free), bytes - free * RECORD_COST, GRANT_MAX);
  if (frames >= frameMax) return frames;
  // The smallest bucket lets out more than a queue of a few frames takes.
  return packets === 0 && costOf(queuePackets) < frameMax && bytes >= frameMax ? frameMax : 0;
}

// Granting credit to the waiting room: one netlink message changes the burst of its tbf qdisc, which refills the bucket
// to exactly that size (tbf_change in net/sched/sch_tbf.c). One small frame, the kick, then makes the qdisc run,
// because a change by itself does not.

export const RTM_NEWQDISC = 36;
const NLM_F_REQUEST_ACK = 0x1 | 0x4;
const NLMSG_ERROR = 2;
const NLMSG_BYTES = 16; // struct nlmsghdr
const TC_H_ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_BURST = 6;
const TC_LINKLAYER_ETHERNET = 1;
/** IEEE 802 local experimental EtherType 1. */
const KICK_ETHERTYPE = 0x88b5;
export const KICK_BYTES = 60;
const SOL_SOCKET = 1;
const SO_MARK = 36;

/** Descriptors of the room's two sockets, which are opened in the peer namespace. */
export interface RoomSockets {
  netlinkFd: number;
  packetFd: number;
}

/**
 * Opens the sockets of a room; runs in the peer namespace. Kicks are sent on its exit, where `release` (bpf/vnet.bpf.c)
 * puts a clone of each into the entry. The caller closes them.
 */
export function openRoomSockets(exit: number): RoomSockets {
  const netlinkFd = openRtnetlink();
  const packetFd = openLinkSocket();
  setSocketOption(packetFd, SOL_SOCKET, SO_MARK, KICK_MARK);
  bindToLink(packetFd, exit);
  return { netlinkFd, packetFd };
}

export function closeRoomSockets(sockets: RoomSockets): void {
  fs.closeSync(sockets.netlinkFd);
  fs.closeSync(sockets.packetFd);
}

/** What the poller needs of a room; unit tests pass a fake. */
export interface Room {
  /** Fills the bucket with `bytes`; false if the kernel refused. */
  fill(bytes: number): boolean;
  /** Makes the qdisc run: the frames that the bucket pays for leave. */
  kick(): void;
}

export class WaitingRoom implements Room {
  private readonly message: Uint8Array;
  private readonly burstAt: number;
  private readonly reply = new Uint8Array(256);
  private readonly replyView = new DataView(this.reply.buffer);
  private readonly view: DataView;
  private readonly kickFrame = new Uint8Array(KICK_BYTES);

  /** `sockets` are borrowed; `frameCost` is the overhead with which the qdisc was made. */
  constructor(
    private readonly sockets: RoomSockets,
    ifindex: number,
    frameCost: number,
  ) {
    const { body, burstAt } = roomQdisc(ifindex, frameCost, 0);
    this.message = new Uint8Array(NLMSG_BYTES + body.length);
    this.message.set(body, NLMSG_BYTES);
    this.burstAt = NLMSG_BYTES + burstAt;
    this.view = new DataView(this.message.buffer);
    this.view.setUint32(0, this.message.length, true);
    this.view.setUint16(4, RTM_NEWQDISC, true);
    this.view.setUint16(6, NLM_F_REQUEST_ACK, true);
    new DataView(this.kickFrame.buffer).setUint16(12, KICK_ETHERTYPE);
  }

  fill(bytes: number): boolean {
    this.view.setUint32(this.burstAt, bytes, true);
    if (sendBytes(this.sockets.netlinkFd, this.message) < 0) return false;
    const received = receiveBytes(this.sockets.netlinkFd, this.reply);
    return (
      received >= 20 && this.replyView.getUint16(4, true) === NLMSG_ERROR && this.replyView.getInt32(16, true) === 0
    );
  }

  kick(): void {
    sendBytes(this.sockets.packetFd, this.kickFrame);
  }
}

/**
 * The body of an RTM_NEWQDISC message, after its nlmsghdr, that makes or changes the tbf at the root of an interface,
 * and where the burst is in it. A new tbf has the smallest burst, roomFrameMax(); each grant writes another.
 */
export function roomQdisc(ifindex: number, frameCost: number, burst: number): { body: Uint8Array; burstAt: number } {
  const parms = new DataView(new ArrayBuffer(36)); // struct tc_tbf_qopt
  parms.setUint8(1, TC_LINKLAYER_ETHERNET);
  parms.setUint16(2, frameCost, true); // rate.overhead
  parms.setUint32(8, 1, true); // rate: a byte a second, the lowest possible; it is grants that let frames out
  parms.setUint32(24, ROOM_BYTES, true); // limit
  const options = attribute(
    TCA_OPTIONS,
    attribute(TCA_TBF_PARMS, new Uint8Array(parms.buffer)),
    numberAttribute(TCA_TBF_BURST, burst),
  );
  const TCMSG_BYTES = 20; // struct tcmsg
  const body = message(new Uint8Array(TCMSG_BYTES), textAttribute(TCA_KIND, 'tbf'), options);
  const view = new DataView(body.buffer);
  view.setInt32(4, ifindex, true);
  view.setUint32(8, ROOM_HANDLE, true);
  view.setUint32(12, TC_H_ROOT, true);
  return { body, burstAt: body.length - 4 };
}

/** The handle `1:`. */
const ROOM_HANDLE = 0x10000;
