/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout shared by the BPF programs and TypeScript, defined only here: make writes src/layout.generated.ts from the
 * BTF of the built object (`libbpf-ts layout`). BTF does not contain #defines, so everything that TypeScript needs is a
 * struct or an enum that occurs in a map or in `shared` (vnet.bpf.c).
 *
 * The version of the state contains a hash of the layout, so that a controller does not adopt what was pinned with
 * another layout. The hash stays the same if only the meaning of a field changes: raise RECORD_VERSION in
 * src/state/record.ts then.
 */
#ifndef VNET_LAYOUT_H
#define VNET_LAYOUT_H

#include <linux/types.h>

/* Shared numbers that belong to no other enum. */
enum shared_number {
	QUEUES_MAX = 16, /* the largest --queues */
	BATCH_MAX = 1024, /* the largest --budget */
	LARGEST_RECORD = 262200, /* bytes of the largest ring record: the last of RECORD_SIZES (capture.h) */
	MERGED_MARK = 22094, /* skb->mark of a packet that the poller has merged, on its way to `resegment` */
	KICK_MARK = 22095, /* skb->mark of the poller's kick, on its way to the room */

	/*
	 * skb->tc_index of a frame in the waiting room, where nothing else uses it. It is never 0, which is the value
	 * of the poller's kicks. With ROOM_NUMBERED, the lower bits are those of the frame's number.
	 */
	ROOM_NUMBERED = 0x8000,
	ROOM_PLAIN = 0x4000,

	/* Values of fields of struct vnet_hdr (include/uapi/linux/virtio_net.h). */
	NEEDS_CSUM = 1, /* VIRTIO_NET_HDR_F_NEEDS_CSUM */
	GSO_UDP_L4 = 5, /* VIRTIO_NET_HDR_GSO_UDP_L4, which the headers of 6.1 lack */
};

/*
 * The mark: what `tx` tells `sink` about a frame, for which `sink` has no other source. It must survive everything in
 * between: programs and filters behind `tx`, qdiscs, the kernel's segmentation, and the change of network namespaces,
 * which clears skb->mark, skb->priority and skb->tstamp (skb_scrub_packet, ____dev_forward_skb).
 *
 *    31                    17 16            6 5    4 3     0
 *   +------------------------+---------------+------+-------+
 *   | value                  | MARK_MAGIC    | kind | queue |    skb->hash
 *   +------------------------+-+-------------+------+-------+
 *                              | the same 16 bits           |    skb->tc_index
 *                              +----------------------------+
 *
 * Either field is enough. TC_ACT_OK, flowid and tcindex overwrite tc_index; helpers that edit the flow clear the hash
 * (bpf_skb_change_proto, BPF_F_INVALIDATE_HASH, bpf_set_hash_invalid). Both are copied to the pieces of a superpacket
 * and to clones. tc_index takes precedence: a class is a constant, and none that a user would choose looks like a mark,
 * while the hash of one flow in 32,768 does (131,072 over the kinds; more with several queues).
 *
 * The value is in the upper bits, by which qdiscs, RPS and multiqueue devices select a queue (reciprocal_scale). It
 * holds those bits of the flow's hash, so that they still distinguish flows and keep each in order.
 */
#define MARK_MAGIC 0x1d6c0U
#define MARK_QUEUE (QUEUES_MAX - 1)
#define MARK_KIND 0x30U
#define MARK_CAPTURED 0x00U /* the frame is in the ring */
#define MARK_HELD 0x10U /* the frame has to wait */
#define MARK_NUMBERED 0x20U /* the same during a recording: the value is its number in the room */
#define MARK_CUT 0x30U /* a superpacket that virtio_net_hdr cannot describe: the kernel segments it */
#define MARK_VALUE_SHIFT 17

/* virtio_net_hdr without mergeable buffers: what PACKET_VNET_HDR expects before each frame. */
struct vnet_hdr {
	__u8 flags;
	__u8 gso_type;
	__u16 hdr_len;
	__u16 gso_size;
	__u16 checksum_start;
	__u16 checksum_offset;
};

/* One ring record. vnet and the frame are contiguous, so that one iovec of the poller covers both. */
struct record {
	__u32 frame_len; /* bytes of the frame, a re-inserted VLAN tag included */
	__u16 stamp; /* low 16 bits of its number among all captured frames */
	struct vnet_hdr vnet;
	__u8 frame[];
};

/* Why a frame was refused, as counted by the programs; the poller has reasons of its own. */
enum refusal {
	REFUSED_FULL, /* queue stopped, or no space in the ring */
	REFUSED_OVERSIZE, /* larger than the largest record, or than the ring */
	REFUSED_RUNT, /* shorter than an Ethernet header */
	REFUSED_GSO, /* a superpacket that virtio_net_hdr cannot describe and the kernel cannot segment */
	REFUSED_UNREADABLE, /* the kernel could not copy it out of the skb */
	REFUSED_UNHOLDABLE, /* would have to wait, but the waiting room cannot take it whole */
	REFUSED_REASONS
};

/* Kinds of records in the trace ring (trace.h). TRACE_LAST_WITH_BYTES relies on the order. */
enum trace_kind {
	TRACE_CAPTURED, /* number: how many were captured before it */
	TRACE_REFUSED, /* number: enum refusal */
	TRACE_HELD, /* number: how many were held before it */
	TRACE_RELEASED, /* came out of the room; number as for TRACE_CAPTURED */
	TRACE_ROOM_REFUSED, /* came out of the room, number: enum refusal */
};

/* One record of the trace ring. */
struct trace_record {
	__u64 time; /* CLOCK_MONOTONIC in ns */
	__u64 number;
	__u32 frame_len; /* bytes of the frame, a re-inserted VLAN tag included */
	__u32 copied; /* bytes of it that follow */
	__u16 kind;
	__u16 room_tag; /* for frames that came out of the room: ROOM_NUMBERED and the low bits of the number, or ROOM_PLAIN */
	struct vnet_hdr vnet;
	__u16 pad;
	__u8 frame[];
};

/* Counters per CPU, read on demand. */
struct counters {
	__u64 tx_packets; /* every frame that reached vnet0's egress, refused ones included */
	__u64 tx_bytes;
	__u64 refused[8]; /* by enum refusal */
	__u64 stray; /* frames on the peer without a mark */
	/* Segments (segments_of()) on their way from `tx` to `sink`: those of held frames are in struct control. */
	__u64 originals_sent; /* by `tx`, of captured frames */
	__u64 originals_arrived; /* at `sink` */
	__u64 cut_sent; /* by `tx`, of superpackets that the kernel segments: they are captured in `sink` */
	__u64 cut_arrived; /* at `sink` */
};

/*
 * One per queue, mapped by its poller. Each group has a cache line of its own, so that the sender's
 * CPU and the poller's do not contend for one.
 */
struct control {
	/* Written by `tx` for every frame, atomically. */
	__u64 captured; /* all frames put into the ring */
	__u32 recording; /* by the controller: a recording is in progress (trace.h); only in the first queue */
	__u32 snap_len; /* by the controller: bytes of each frame that are recorded */
	__u64 trace_missed; /* frames that found no space in the trace ring */
	__u64 trace_notes_missed; /* releases from the room that found no space there */
	__u64 reinject_cookie; /* by the controller: cookie of the poller's socket on a dummy */
	__u64 pad0[3];

	/*
	 * Written when the queue stops or wakes, and for every frame that has to wait. In `gate`, bit 0 says that the
	 * queue is stopped and the rest counts all segments sent to the waiting room, modulo 2^31: one compare-and-swap
	 * wakes the queue only if nothing has been sent there meanwhile.
	 */
	__u32 gate;
	__u32 pad1;
	__u64 stops;
	__u64 wakes_tx; /* wakes decided by `tx` itself, right after a stop */
	__u64 held_out; /* frames that came out of the room into the ring, or were refused there */
	__u64 held_cost; /* bytes of credit used up: room_frame_cost and the length of each packet */
	__u64 held_again; /* frames requeued into the room: 0 unless credit was wrong */
	__u64 kicks_out; /* the poller's own frames that came out of the room */
	__u64 pad2;

	/* Frames on their way to the room. */
	__u64 held_sent; /* frames that `tx` sent there */
	__u64 held_in; /* frames that `sink` let in: more than held_sent if the kernel segmented some */
	__u64 held_arrived; /* segments of those */
	__u64 held_twice; /* by the poller: segments of copies made by a qdisc of the user */
	__u64 held_missing; /* by the controller: segments that were lost before they arrived */
	__u64 held_missing_frames; /* by the controller: the same in frames of the frame accounting */
	/*
	 * Segments that `tx` sent there. It counts segments because the kernel may segment a superpacket behind `tx`:
	 * however it does that, as many segments arrive as were sent. It has 64 bits because segments may never arrive:
	 * the frames that the kernel drops in between can amount to 2^31 segments within seconds.
	 */
	__u64 held_segments;
	__u64 pad3;

	/* Written by the poller. */
	__u32 armed; /* 1: the poller sleeps or is about to; the next record must wake it */
	__u32 offering; /* 1: frames are being passed to an impairment's qdisc, whose ENOBUFS is not counted yet */
	__u64 drained; /* all frames taken out of the ring */
	__u64 wakes_poller; /* wakes decided by the poller: the ring has drained */
	__u64 rx_packets; /* frames reinjected */
	__u64 rx_bytes;
	__u64 largest_frame; /* bytes */
	__u64 polls;
	__u64 budget_exhausted;

	__u64 sleeps;
	__u64 wakeups; /* sleeps that a record ended */
	__u64 lost_wakeups; /* records found after a timeout, without a wake-up */
	__u64 reinject_retries;
	__u64 reinject_errors; /* frames the socket will never take: all refused_* below */
	__u64 refused_toolong; /* EMSGSIZE: larger than the peer's MTU */
	__u64 refused_invalid; /* EINVAL: the kernel rejects the frame or its virtio_net_hdr */
	__u64 refused_down; /* vnet0 went down or away with frames still in the ring */

	__u64 refused_error; /* any other error */
	__u64 enobufs; /* times the kernel returned ENOBUFS: the receiving backlog was full, and the frame was retried */
	__u64 held_dropped; /* by the controller: frames lost in the waiting room */
	__u64 credit; /* bytes of credit of the latest grant to the room */
	__u64 credit_base; /* held_cost at that grant */
	__u64 grants;
	__u64 merged; /* frames that were sent as part of another's packet */
	__u64 hooks_dropped; /* frames that a hook dropped */

	__u64 hooks_injected; /* frames that a hook injected, and pieces of superpackets beyond the first */
	__u64 hooks_errors; /* errors and invalid verdicts of hooks */
	/* What readers have found out about an impairment, only in the first queue (reinject-accounting.ts). */
	__u64 impair_lost;
	__u64 impair_duplicated;
	__u64 impair_unseen;
	__u64 impair_overflow; /* frames that found the queue of an impairment's rate full */
	/* Lost, if nothing of it has arrived by a later reading, and when that was first seen; the first queue as well. */
	__u64 impair_suspected;
	__u64 impair_suspected_ms; /* CLOCK_MONOTONIC */

	/*
	 * Frames that a hook delays are in the memory of its thread; their records have left the ring. That memory holds
	 * hooks_delayed - hooks_released - hooks_lost of them.
	 */
	__u64 hooks_delayed; /* all frames taken into that memory */
	__u64 hooks_released; /* frames that have left it: sent, or refused by the socket */
	__u64 hooks_lost; /* by the controller, once that memory is gone: frames that were in it */
	__u64 pad5[5];
};

/* A flag in `count` of struct batch. It has an enum of its own because the number is not an int. */
enum batch_flag {
	BATCH_HOOKED = 0x80000000, /* a hook has judged the frames */
};

/*
 * struct mmsghdr on 64-bit. The kernel ignores its padding, and msg_name if msg_namelen is 0, so the poller keeps its
 * progress there.
 */
struct message {
	__u32 delayed; /* msg_name; with a hook: frames taken into the memory of its thread */
	__u32 released; /* with a hook: frames that have left that memory */
	__u32 name_length;
	__u32 records; /* with a hook: records done with */
	__u64 iov;
	__u64 iov_length;
	__u64 control;
	__u64 control_length;
	__u32 flags;
	__u32 dropped; /* with a hook: frames dropped */
	__u32 length; /* msg_len: bytes sent, written by the kernel */
	union {
		__u32 injected; /* with a hook: frames injected */
		__u32 merged; /* without a hook: its records, and the header bytes of each of them, in 16 bits each */
	};
};

/*
 * The batch that the poller is sending. The kernel writes msg_len of each mmsghdr as it sends it, so after a kill in
 * the middle of a sendmmsg the next controller sees how far it got: no frame is reinjected twice, none is lost. The
 * counters are those from before the batch.
 *
 * Without a hook, a message may consist of several records. With a hook, messages and records need not correspond, so
 * each message has the counts that are right once it has been sent, all since the batch began. The totals include what
 * follows the last message.
 */
struct batch {
	__u32 count; /* messages, and BATCH_HOOKED; 0: no batch under way */
	__u32 pad0;
	__u64 start; /* consumer position of its first record */
	__u64 drained;
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 hooks_dropped;
	__u64 hooks_injected;
	__u64 hooks_delayed;
	__u64 hooks_released;
	__u64 total_records;
	__u64 total_dropped;
	__u64 total_injected;
	__u64 total_delayed;
	__u64 total_released;
	/* The message refused last, and the values that its counters must have once it is marked as refused. */
	__u64 refused_message; /* its index + 1; 0: none yet */
	__u64 refused_reason; /* offset of its counter in struct control */
	__u64 refused_count;
	__u64 refused_errors; /* reinject_errors */
	__u64 pad1[6];
	struct message messages[BATCH_MAX];
};

#endif
