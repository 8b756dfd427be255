// SPDX-License-Identifier: MIT
/**
 * How much the waiting room may let out. The room is a tbf qdisc that earns next to nothing by
 * itself: each grant fills its bucket with so many bytes, which the frames that leave use up. A
 * grant is at most what the ring has place for, so a frame that leaves the room always finds its
 * place and none has to go round again: that is what keeps frames in order.
 * docs/backpressure.md has the why.
 */

/** No record needs more ring than this for each byte of its frame and RECORD_COST (bpf/capture.h, sizes). */
const RING_BYTES_PER_BYTE = 9 / 8;
const RECORD_COST = 104;
/**
 * The largest packet that the room passes, and the least that its bucket can hold; bytes. Half as much again as the
 * largest superpacket: a qdisc counts the headers of each segment.
 */
export const roomFrameMax = (superpacketBytes: number): number => superpacketBytes * 1.5;
/** Bytes that the room's queue may grow to; what comes on top is dropped, counted and announced. */
export const ROOM_BYTES = 256 << 20;
/** The most that a grant can say in its 32 bits, with room to spare. */
const GRANT_MAX = 2 ** 31;

/**
 * What a frame costs of the credit besides its length: the overhead of the tbf. With
 * --queue-packets it is so large that a grant is in effect one of frames; 65535 is the most that
 * struct tc_ratespec can hold.
 */
export const roomFrameCost = (queuePackets: number): number => (queuePackets > 0 ? 65535 : RECORD_COST);

/** What the least that the bucket can hold may need of the ring. */
const leastGrantBytes = (frameMax: number): number => Math.ceil((frameMax + 2 * RECORD_COST) * RING_BYTES_PER_BYTE);

/** A queue that holds: its ring, and roomFrameMax() of its interface. */
export interface QueueSize {
  ringBytes: number;
  frameMax: number;
}

/**
 * Ring bytes that `tx` leaves free. The bucket cannot be emptied, so `frameMax` may come out
 * of the room before anybody grants it; in larger rings there is more, for the CPUs that pass the
 * check in `tx` at the same moment.
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
 * `outstanding` is what is left of the latest grant. It has to be nearly used up: then at most
 * one largest frame is on its way, which the headroom that is left free takes. The rest of the headroom is for what
 * nobody has counted yet: a sender that looked at the gate just before the queue stopped, and a frame between the room's
 * qdisc and `retry`. Where the headroom is no more than the least (rings below 1 MiB), such a frame may go round.
 */
export function nextGrant({ ringBytes, frameMax, usedBytes, queuePackets, packets }: QueueFill, outstanding: number): number {
  const frameCost = roomFrameCost(queuePackets);
  if (outstanding > frameMax + frameCost) return 0;
  const bytes = Math.floor((ringBytes - usedBytes - headroomBytes({ ringBytes, frameMax })) / RING_BYTES_PER_BYTE) - RECORD_COST;
  if (queuePackets === 0) return bytes >= frameMax ? Math.min(bytes, GRANT_MAX) : 0;
  // The bucket holds the grant and one overhead: so many frames of 14 bytes and more leave for it.
  const free = queuePackets - packets;
  const frames = Math.min(free * (frameCost + 14) - frameCost, bytes - free * RECORD_COST, GRANT_MAX);
  if (frames >= frameMax) return frames;
  // A queue of one or two: the least that a bucket can hold lets out two.
  return packets === 0 && queuePackets < 3 && bytes >= frameMax ? frameMax : 0;
}
