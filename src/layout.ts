// SPDX-License-Identifier: MIT
/**
 * What TypeScript and the BPF programs share: offsets in bytes, and numbers. bpf/layout.h states it, and make writes
 * layout.generated.ts from the BTF of the built object; this file only says what is used of it, and as what.
 */
import * as made from './layout.generated';

/** A record of the ring. */
export const RECORD = made.RECORD;

/** The virtio_net_hdr in it. */
export const VNET = made.VNET_HDR;
export const VNET_HDR_BYTES = VNET.size;
/** Of its flags, and of its gso_type. */
export const NEEDS_CSUM = made.NEEDS_CSUM;
export const GSO_UDP_L4 = made.GSO_UDP_L4;

/** The largest record in bytes. */
export const LARGEST_RECORD = made.LARGEST_RECORD;

/** The largest --queues. */
export const QUEUES_MAX = made.QUEUES_MAX;

/** skb->mark of a merged packet. */
export const MERGED_MARK = made.MERGED_MARK;

/** skb->mark of a kick. */
export const KICK_MARK = made.KICK_MARK;

/** One per CPU; u64 each. */
export const COUNTERS = made.COUNTERS;

const { reasons: _number, ...refusals } = made.REFUSAL;
/** Names in `stats --json`, by the index into `refused` of COUNTERS. */
export const REFUSALS = Object.keys(refusals) as readonly (keyof typeof refusals)[];

/** One per queue: what programs and poller share. */
export const CONTROL = made.CONTROL;

/** One per queue: the poller's log of what it is sending. */
export const BATCH = { ...made.BATCH, max: made.BATCH_MAX, messageBytes: made.MESSAGE.size } as const;

/** In BATCH.count, beside the number of messages: a hook has judged the frames. */
export const BATCH_HOOKED = made.BATCH_HOOKED;

/** One of BATCH.messages: struct mmsghdr, with the poller's progress in its padding. */
export const MESSAGE = made.MESSAGE;

/** A record of the trace ring. */
export const TRACE_RECORD = made.TRACE_RECORD;

/** In TRACE_RECORD.roomTag: the lower bits are those of its number in the room. */
export const ROOM_NUMBERED = made.ROOM_NUMBERED;

/** TRACE_RECORD.kind. */
export const TRACE_KIND = made.TRACE_KIND;

/** Changes with anything of bpf/layout.h. */
export const LAYOUT_HASH = made.LAYOUT_HASH;
