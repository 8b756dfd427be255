// SPDX-License-Identifier: MIT
/**
 * The offsets of bpf/layout.h, in bytes. test/unit/layout.test.ts compares them with the BTF of
 * the built object.
 */

/** struct record: u32 frame_len, u16 stamp, then the 10 bytes of virtio_net_hdr. */
export const RECORD = { frameLen: 0, stamp: 4, vnet: 6, frame: 16 } as const;
export const VNET_HDR_BYTES = RECORD.frame - RECORD.vnet;
/** Offsets in it, and values of its flags and its gso_type (include/uapi/linux/virtio_net.h). */
export const VNET = { flags: 0, gsoType: 1, gsoSize: 4, checksumStart: 6, checksumOffset: 8 } as const;
export const NEEDS_CSUM = 1;
export const GSO_UDP_L4 = 5;

/** The largest --queues, QUEUES_MAX of bpf/layout.h. */
export const QUEUES_MAX = 16;

/** skb->mark of a merged packet, MERGED_MARK of bpf/layout.h. */
export const MERGED_MARK = 22094;

/** The largest record in bytes, LARGEST_RECORD of bpf/capture.h. */
export const LARGEST_RECORD = 262200;

/** struct counters, one per CPU; u64 each. */
export const COUNTERS = {
  txPackets: 0,
  txBytes: 8,
  refused: 16,
  stray: 80,
  originalsSent: 88,
  originalsArrived: 96,
  cutSent: 104,
  cutArrived: 112,
  size: 120,
} as const;

/** enum refusal: the index into `refused`, and the name in `stats --json`. */
export const REFUSALS = ['full', 'oversize', 'runt', 'gso', 'unreadable', 'unholdable'] as const;

/** struct control, one per queue: what programs and poller share. */
export const CONTROL = {
  captured: 0,
  recording: 8,
  snapLen: 12,
  tapeMissed: 16,
  tapeNotesMissed: 24,
  reinjectCookie: 32,
  gate: 64,
  stops: 72,
  wakesTx: 80,
  heldOut: 88,
  heldCost: 96,
  heldAgain: 104,
  kicksOut: 112,
  heldSent: 128,
  heldIn: 136,
  heldArrived: 144,
  heldTwice: 152,
  heldMissing: 160,
  heldMissingFrames: 168,
  heldSegments: 176,
  armed: 192,
  drained: 200,
  wakesPoller: 208,
  rxPackets: 216,
  rxBytes: 224,
  largestFrame: 232,
  polls: 240,
  budgetExhausted: 248,
  sleeps: 256,
  wakeups: 264,
  lostWakeups: 272,
  reinjectRetries: 280,
  reinjectErrors: 288,
  refusedToolong: 296,
  refusedInvalid: 304,
  refusedDown: 312,
  refusedError: 320,
  enobufs: 328,
  heldDropped: 336,
  credit: 344,
  creditBase: 352,
  grants: 360,
  merged: 368,
  hooksDropped: 376,
  hooksInjected: 384,
  hooksErrors: 392,
  impairLost: 400,
  impairDuplicated: 408,
  impairUnseen: 416,
  impairOverflow: 424,
  size: 448,
} as const;

/** struct batch, one per queue: the poller's log of what it is sending. */
export const BATCH = {
  count: 0,
  start: 8,
  drained: 16,
  rxPackets: 24,
  rxBytes: 32,
  hooksDropped: 40,
  hooksInjected: 48,
  totalRecords: 56,
  totalDropped: 64,
  totalInjected: 72,
  refusedMessage: 80,
  refusedReason: 88,
  refusedCount: 96,
  refusedErrors: 104,
  messages: 128,
  max: 1024,
  messageBytes: 64,
  size: 128 + 1024 * 64,
} as const;

/** In BATCH.count, beside the number of messages: a hook has judged the frames. */
export const BATCH_HOOKED = 0x80000000;

/**
 * Padding of struct mmsghdr, ours. In a plain batch `merged` has the records of this message and the header bytes that
 * each of them had, in 16 bits each; in a hooked batch the others say how far the counting is.
 */
export const MESSAGE = { merged: 60, records: 12, dropped: 52, injected: 60 } as const;

/** In TAPE_RECORD.roomTag: the lower bits are those of its number in the room. ROOM_NUMBERED of bpf/layout.h. */
export const ROOM_NUMBERED = 0x8000;

/** struct tape_record; the frame follows it. */
export const TAPE_RECORD = { time: 0, number: 8, frameLen: 16, copied: 20, kind: 24, roomTag: 26, vnet: 28, frame: 40 } as const;

/** enum tape_kind. */
export const TAPE = { captured: 0, refused: 1, held: 2, released: 3, roomRefused: 4 } as const;
