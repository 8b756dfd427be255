// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of vnet.bpf.o; do not edit.

/** struct batch, 65728 bytes. */
export const BATCH = {
  count: 0,
  start: 8,
  drained: 16,
  rxPackets: 24,
  rxBytes: 32,
  hooksDropped: 40,
  hooksInjected: 48,
  hooksDelayed: 56,
  hooksReleased: 64,
  totalRecords: 72,
  totalDropped: 80,
  totalInjected: 88,
  totalDelayed: 96,
  totalReleased: 104,
  refusedMessage: 112,
  refusedReason: 120,
  refusedCount: 128,
  refusedErrors: 136,
  messages: 192,
  size: 65728,
} as const;

// enum batch_flag
export const BATCH_HOOKED = 2147483648;

/** struct control, 512 bytes. */
export const CONTROL = {
  captured: 0,
  recording: 8,
  snapLen: 12,
  traceMissed: 16,
  traceNotesMissed: 24,
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
  offering: 196,
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
  impairSuspected: 432,
  impairSuspectedMs: 440,
  hooksDelayed: 448,
  hooksReleased: 456,
  hooksLost: 464,
  size: 512,
} as const;

/** struct counters, 120 bytes. */
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

/** struct message, 64 bytes. */
export const MESSAGE = {
  delayed: 0,
  released: 4,
  nameLength: 8,
  records: 12,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  dropped: 52,
  length: 56,
  injected: 60,
  merged: 60,
  size: 64,
} as const;

/** struct record, 16 bytes. */
export const RECORD = {
  frameLen: 0,
  stamp: 4,
  vnet: 6,
  frame: 16,
  size: 16,
} as const;

/** enum refusal. */
export const REFUSAL = {
  full: 0,
  oversize: 1,
  runt: 2,
  gso: 3,
  unreadable: 4,
  unholdable: 5,
  reasons: 6,
} as const;

// enum shared_number
export const QUEUES_MAX = 16;
export const BATCH_MAX = 1024;
export const LARGEST_RECORD = 262200;
export const MERGED_MARK = 22094;
export const KICK_MARK = 22095;
export const ROOM_NUMBERED = 32768;
export const ROOM_PLAIN = 16384;
export const NEEDS_CSUM = 1;
export const GSO_UDP_L4 = 5;

/** enum trace_kind. */
export const TRACE_KIND = {
  captured: 0,
  refused: 1,
  held: 2,
  released: 3,
  roomRefused: 4,
} as const;

/** struct trace_record, 40 bytes. */
export const TRACE_RECORD = {
  time: 0,
  number: 8,
  frameLen: 16,
  copied: 20,
  kind: 24,
  roomTag: 26,
  vnet: 28,
  frame: 40,
  size: 40,
} as const;

/** struct vnet_hdr, 10 bytes. */
export const VNET_HDR = {
  flags: 0,
  gsoType: 1,
  hdrLen: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
  size: 10,
} as const;

/** Changes with anything above. */
export const LAYOUT_HASH = 0x58565bfa;
