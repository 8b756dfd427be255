/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The trace ring: a second ring, for `vnet-bpf record`, which receives what happens to each frame
 * during a recording. Nothing waits for its reader; what finds no space in it is counted as missed.
 *
 * It is a map in the map `trace`, which is empty unless a recording is going on: the recorder chooses
 * its size (from Linux 5.10 on, inner rings may differ in it), and its memory goes with the recorder.
 */
#ifndef VNET_TRACE_H
#define VNET_TRACE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "capture.h"
#include "layout.h"
#include "maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_RINGBUF);
		__uint(max_entries, 1 << 16);
	});
} trace SEC(".maps");

#define TRACE_LAST_WITH_BYTES TRACE_HELD
#define LARGEST_TRACE_RECORD 262264 /* LARGEST_RECORD with a longer header */

static __always_inline struct trace_record *reserve_trace(void *ring, __u32 need, __u64 *size)
{
#define TRY_SIZE(bytes) \
	if (need <= (bytes)) { \
		*size = (bytes); \
		return bpf_ringbuf_reserve(ring, (bytes), 0); \
	}
	RECORD_SIZES(TRY_SIZE)
	TRY_SIZE(LARGEST_TRACE_RECORD)
#undef TRY_SIZE
	return NULL;
}

/*
 * Writes a record to the trace ring. `event` is an enum trace_kind; for a frame that came out of the
 * waiting room, its upper half is the frame's tag there. `number` is as in struct trace_record.
 * Always returns 0.
 *
 * A global function: the verifier checks it once, and not once for each size of record with which
 * the ring may have been left.
 */
__attribute__((noinline)) int write_trace(struct __sk_buff *skb, __u32 event, __u64 number)
{
	bool with_bytes = (event & 0xffff) <= TRACE_LAST_WITH_BYTES;
	struct trace_record *record;
	struct frame frame = {};
	struct control *ctl;
	__u32 zero = 0, copied = 0;
	__u64 size = 0;
	void *ring;

	ctl = bpf_map_lookup_elem(&control, &zero);
	ring = bpf_map_lookup_elem(&trace, &zero);
	if (!ctl || !ring)
		return 0;
	describe(skb, &frame); /* what cannot be captured can be recorded */
	if (with_bytes) {
		copied = frame.len < ctl->snap_len ? frame.len : ctl->snap_len;
		if (copied > LARGEST_TRACE_RECORD - sizeof(*record))
			copied = LARGEST_TRACE_RECORD - sizeof(*record);
	}
	record = reserve_trace(ring, sizeof(*record) + copied, &size);
	if (!record) {
		__sync_fetch_and_add(with_bytes ? &ctl->trace_missed : &ctl->trace_notes_missed, 1);
		return 0;
	}
	record->time = bpf_ktime_get_ns();
	record->number = number;
	record->frame_len = frame.len;
	record->kind = event & 0xffff;
	record->room_tag = event >> 16;
	record->vnet = frame.vnet;
	record->pad = 0;
	if (copied && copy_bytes(skb, &frame, record->frame, copied, size - sizeof(*record)))
		copied = 0;
	record->copied = copied;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP); /* its reader polls */
	return 0;
}

/* Records an event during a recording. Otherwise it costs one load. */
static __always_inline void record_event(struct control *ctl, struct __sk_buff *skb, __u32 event,
					 __u64 number)
{
	if (ctl->recording)
		write_trace(skb, event, number);
}

#endif
