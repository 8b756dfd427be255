/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A transmit queue: the ring buffer, its limits, and when it stops and wakes. With --queues an
 * interface has several. Each is a complete loop, with a ring, a gate, a waiting room and a poller
 * of its own, and all frames of a flow use the same one.
 *
 * As in a NIC driver, the sender that fills the queue stops it, and the poller that drains it wakes
 * it. Stop and wake meet in one word, `gate`, so that neither can overlook the other.
 */
#ifndef VNET_QUEUE_H
#define VNET_QUEUE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "capture.h"
#include "layout.h"
#include "maps.h"
#include "trace.h"

/* Set by the controller before load. */
const volatile bool hold = false; /* --when-full hold */
const volatile __u64 queue_packets = 0; /* --queue-packets; 0: only bytes limit the queue */
const volatile __u64 low_watermark_bytes = 0;
const volatile __u64 low_watermark_packets = 0;
/* Bytes that `tx` may fill; with hold, the rest of the ring is for frames from the waiting room. */
const volatile __u64 tx_bytes_limit = 0;
const volatile __u32 queues = 1; /* --queues; the limits above apply to each */

#define GATE_STOPPED 1U
#define GATE_ONE_HELD 2U

struct queue {
	void *ring;
	struct control *ctl;
};

/*
 * An atomic add that other CPUs see in its order. The result is used because otherwise it becomes
 * an instruction that arm64 may reorder (stadd; a fetch is a full barrier).
 */
#define ADD_IN_ORDER(word, by) \
	do { \
		__u64 before_add = __sync_fetch_and_add(word, by); \
		barrier_var(before_add); \
	} while (0)

/*
 * Chooses a queue by the flow, as a NIC with several queues does, so that a flow's frames stay in
 * order. Frames that belong to no flow have the hash 0.
 */
static __always_inline __u32 queue_of(struct __sk_buff *skb)
{
	return queues > 1 ? bpf_get_hash_recalc(skb) % queues : 0;
}

static __always_inline bool find_queue(__u32 index, struct queue *queue)
{
	queue->ctl = bpf_map_lookup_elem(&control, &index);
	queue->ring = bpf_map_lookup_elem(&rings, &index);
	return queue->ctl && queue->ring;
}

static __always_inline bool is_stopped(struct control *ctl)
{
	return ctl->gate & GATE_STOPPED;
}

static __always_inline bool at_low_watermark(struct queue *queue)
{
	struct control *ctl = queue->ctl;

	if (bpf_ringbuf_query(queue->ring, BPF_RB_AVAIL_DATA) > low_watermark_bytes)
		return false;
	return !queue_packets || ctl->captured - ctl->drained <= low_watermark_packets;
}

/* Sets the stopped bit; the CPU that sets it counts the stop. */
static __always_inline void close_gate(struct control *ctl)
{
	if (!(__sync_fetch_and_or(&ctl->gate, GATE_STOPPED) & GATE_STOPPED))
		__sync_fetch_and_add(&ctl->stops, 1);
}

/*
 * Stops the queue if frames are refused instead of held, then looks again: if the poller drained
 * the ring meanwhile it may be asleep, and nothing else would wake the queue.
 */
static __always_inline void stop_and_look_again(struct queue *queue)
{
	struct control *ctl = queue->ctl;
	__u32 gate;

	close_gate(ctl);
	gate = ctl->gate;
	if ((gate & GATE_STOPPED) && at_low_watermark(queue) &&
	    __sync_val_compare_and_swap(&ctl->gate, gate, gate & ~GATE_STOPPED) == gate)
		__sync_fetch_and_add(&ctl->wakes_tx, 1);
}

/* Wakes a sleeping poller with an empty record, for news that no frame carries. */
static __always_inline void ring_doorbell(struct queue *queue)
{
	void *bell;

	if (!queue->ctl->armed)
		return;
	/* Before `armed` is cleared: a poller that arms again in between then sees that the ring is not empty. */
	bell = bpf_ringbuf_reserve(queue->ring, sizeof(__u64), 0);
	if (!bell)
		return; /* a full ring is not empty either */
	queue->ctl->armed = 0;
	bpf_ringbuf_discard(bell, BPF_RB_FORCE_WAKEUP);
}

/*
 * Sends a frame of `segments` segments to the waiting room: counts them in `gate`, where the poller's
 * compare-and-swap sees them. If the poller woke the queue just before, the queue is stopped again,
 * or a later frame could overtake this one. Returns the number of frames that were sent there before.
 */
static __always_inline __u64 hold_frame(struct queue *queue, __u32 segments)
{
	struct control *ctl = queue->ctl;
	__u64 before = __sync_fetch_and_add(&ctl->held_sent, 1);

	/* Before the gate, so that a CPU that sees the gate changed sees them, too. */
	ADD_IN_ORDER(&ctl->held_segments, segments);
	if (!(__sync_fetch_and_add(&ctl->gate, segments * GATE_ONE_HELD) & GATE_STOPPED))
		close_gate(ctl);
	ring_doorbell(queue);
	return before;
}

/*
 * Lets a frame into the waiting room: all of one that was sent there, or a piece of it. It is
 * counted in `held_in` before it can come out, and before its segments are no longer on their way,
 * so the poller never mistakes a room with frames for an empty one (framesInRoom() in
 * queue-gate.ts). If the queue has been woken already, because this is a copy that was not
 * expected, it is stopped again: the poller counts what is in the room after it has woken the
 * queue, so one of the two sees the other.
 */
static __always_inline void enter_room(struct queue *queue, __u32 segments)
{
	struct control *ctl = queue->ctl;

	ADD_IN_ORDER(&ctl->held_in, 1);
	ADD_IN_ORDER(&ctl->held_arrived, segments);
	if (is_stopped(ctl))
		return;
	close_gate(ctl);
	ring_doorbell(queue);
}

/*
 * Takes a place in the queue; `before` is the number of frames that took one before, since the
 * beginning. The atomic add counts the frame and, being a full barrier, orders the ring's producer
 * position before the look at `armed` in wakeup_flag().
 */
static __always_inline bool take_place(struct control *ctl, bool limited, __u64 *before)
{
	*before = __sync_fetch_and_add(&ctl->captured, 1);
	if (limited && queue_packets && *before - ctl->drained >= queue_packets) {
		__sync_fetch_and_add(&ctl->captured, -1);
		return false;
	}
	return true;
}

/* NAPI's interrupt enable: a record wakes the poller only while the poller sleeps. */
static __always_inline __u64 wakeup_flag(struct control *ctl)
{
	if (!ctl->armed)
		return BPF_RB_NO_WAKEUP;
	ctl->armed = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Reserves the smallest record that holds `need` bytes; `size` is then its size. */
static __always_inline struct record *reserve(void *ring, __u32 need, __u64 *size)
{
#define TRY_SIZE(bytes) \
	if (need <= (bytes)) { \
		*size = (bytes); \
		return bpf_ringbuf_reserve(ring, (bytes), 0); \
	}
	RECORD_SIZES(TRY_SIZE)
#undef TRY_SIZE
	return NULL; /* describe() has refused such a frame */
}

/*
 * Puts a frame into the ring. Returns an enum refusal, or -1 when it is in. `limited`: `tx` keeps
 * to its part of the ring and to --queue-packets, while a frame from the waiting room has been
 * granted its place. `event` is written to the trace ring before the poller can have the frame.
 */
static __always_inline int enqueue(struct __sk_buff *skb, struct frame *frame, struct queue *queue,
				   bool limited, __u32 event)
{
	struct control *ctl = queue->ctl;
	__u32 need = sizeof(struct record) + frame->len;
	struct record *record;
	__u64 size = 0, before;

	/* need / 8: a record may be larger than the need by this much. */
	if (limited && hold &&
	    bpf_ringbuf_query(queue->ring, BPF_RB_AVAIL_DATA) + need + need / 8 > tx_bytes_limit)
		return REFUSED_FULL;
	record = reserve(queue->ring, need, &size);
	if (!record)
		return REFUSED_FULL;
	if (copy_frame(skb, frame, record, size)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return REFUSED_UNREADABLE;
	}
	if (!take_place(ctl, limited, &before)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return REFUSED_FULL;
	}
	record->stamp = before;
	record_event(ctl, skb, event, before);
	bpf_ringbuf_submit(record, wakeup_flag(ctl));
	return -1;
}

#endif
