/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel half of the loop, in the order a frame takes:
 *
 *   tx     on vnet0's egress: copies the frame into the ring, or says that it has to wait
 *   sink   on the hidden peer, where there is one: drops what is in the ring, sends what has to wait to the room, and
 *          captures what the kernel had to cut into frames first
 *   retry  at the room's exit: copies the frame into the ring when its turn has come
 *   cut    on the peer's egress, on the way back: has the kernel cut up what the poller has merged
 *
 * The original goes on to the peer because veth counts a transmitted packet in veth_xmit: a
 * frame dropped on egress would leave `ip -s link` at 0.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "capture.h"
#include "layout.h"
#include "queue.h"
#include "superpacket.h"
#include "tape.h"

/*
 * How `sink` and `retry` know a frame: skb->mark is cleared when a packet crosses namespaces,
 * skb->tc_index is not, provided that the program returns TC_ACT_UNSPEC (TC_ACT_OK overwrites
 * it with the class: sch_handle_egress in net/core/dev.c, cls_bpf_classify in net/sched/cls_bpf.c).
 */
#define TAG_CAPTURED 0x564e
/*
 * A superpacket that virtio_net_hdr cannot describe: the kernel cuts it up. The low bits are its
 * queue, since the hash of what it is cut into may be another.
 */
#define TAG_CUT 0x5650
#define TAG_CUT_QUEUE (QUEUES_MAX - 1)
/* In the other bits its queue; where there is but one, the low ones of its number in the room: for the tape. */
#define TAG_HELD 0x8000
#define TAG_HELD_NUMBER 0x7fff

/* The mark of the poller's socket where it sends on the looping interface itself (dummy); 0: it does not. */
const volatile __u32 reinject_mark = 0;
/* Entry and exit of each queue's waiting room, in the peer's namespace. */
const volatile __u32 room_entries[QUEUES_MAX] = {};
const volatile __u32 room_exits[QUEUES_MAX] = {};
/* The largest packet that the room passes whole, as its qdisc counts: roomFrameMax() in credit.ts. */
const volatile __u32 room_frame_max = 0;
/* What each frame costs of the room's credit besides its length: the overhead of its tbf. */
const volatile __u32 room_frame_cost = 0;

static __always_inline bool fits_into_room(struct __sk_buff *skb, struct frame *frame)
{
	return frame->len + repeated_headers(skb, 0) <= room_frame_max;
}

/* The compiler knows what describe() can return, the verifier does not: it wants to see the bound. */
static __always_inline void count_refused(struct counters *count, __u32 refusal)
{
	barrier_var(refusal);
	if (refusal < REFUSED_REASONS)
		count->refused[refusal]++;
}

/*
 * Has the kernel cut a superpacket up right before the device that lacks an offload for it (validate_xmit_skb). vnet0 and
 * the peer lack those for IP in IP (features.ts), so here the packet becomes a tunnel's: bpf_skb_adjust_room opens a tunnel
 * with an outer header of no bytes, which leaves the packet as it is and sets SKB_GSO_IPXIP4 or 6. Its segments are plain
 * frames: only the kinds with a UDP or GRE header are taken apart otherwise (udp4_ufo_fragment, inet_gso_segment).
 */
static __always_inline long have_cut(struct __sk_buff *skb)
{
	__u64 tunnel = skb->protocol == bpf_htons(ETH_P_IP) ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 :
							      BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

	return bpf_skb_adjust_room(skb, 0, BPF_ADJ_ROOM_MAC, tunnel | BPF_F_ADJ_ROOM_FIXED_GSO);
}

/* Counts a frame and takes it in: what becomes of it, as a tag, or 0 when it is refused. */
static __always_inline __u16 transmit(struct __sk_buff *skb, struct counters *count, __u32 index,
				      bool can_be_cut)
{
	struct frame frame = {};
	struct control *ctl;
	struct queue queue;
	__u64 number;
	int refusal;

	if (!find_queue(index, &queue))
		return 0;
	ctl = queue.ctl;
	refusal = describe(skb, &frame);
	if (refusal == REFUSED_GSO && can_be_cut) {
		if (frame.skb_len >= GSO_MAX_SIZE)
			have_cut(skb); /* the user may have raised gso_max_size: then nothing else does it */
		return TAG_CUT | index; /* counted in `sink`, frame by frame, as veth counts them */
	}
	count->tx_packets++;
	count->tx_bytes += frame.len;
	if (refusal < 0)
		refusal = is_stopped(ctl) ? REFUSED_FULL : enqueue(skb, &frame, &queue, true, TAPE_CAPTURED);
	if (refusal < 0)
		return TAG_CAPTURED;
	if (refusal == REFUSED_FULL && hold) {
		if (fits_into_room(skb, &frame)) {
			number = hold_frame(&queue, segments_of(skb));
			record_event(ctl, skb, TAPE_HELD, number);
			return TAG_HELD | (queues > 1 ? index : number & TAG_HELD_NUMBER);
		}
		refusal = REFUSED_UNHOLDABLE;
	} else if (refusal == REFUSED_FULL && !is_stopped(ctl)) {
		stop_and_look_again(&queue);
	}
	count_refused(count, refusal);
	record_event(ctl, skb, TAPE_REFUSED, refusal);
	return 0;
}

SEC("tc")
int tx(struct __sk_buff *skb)
{
	struct counters *count;
	__u32 zero = 0;
	__u16 tag;

	if (reinject_mark && skb->mark == reinject_mark) {
		skb->mark = 0;
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	}
	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return TC_ACT_SHOT;
	tag = transmit(skb, count, queue_of(skb), !reinject_mark); /* only behind a veth there is `sink` */
	if (!tag)
		return TC_ACT_SHOT; /* dev_queue_xmit returns NET_XMIT_DROP, sendto ENOBUFS where it asks */
	skb->tc_index = tag;
	return TC_ACT_UNSPEC;
}

/* Into the waiting room of the queue that its tag names. */
static __always_inline int send_to_room(struct __sk_buff *skb, __u16 tag)
{
	__u32 index = queues > 1 ? tag & (QUEUES_MAX - 1) : 0;
	struct queue queue;

	if (!find_queue(index, &queue))
		return TC_ACT_SHOT;
	enter_room(&queue, segments_of(skb));
	return bpf_redirect(room_entries[index], 0);
}

SEC("tc")
int sink(struct __sk_buff *skb)
{
	struct counters *count;
	__u32 zero = 0;
	__u16 tag;

	if (skb->tc_index == TAG_CAPTURED)
		return TC_ACT_SHOT;
	if (hold && (skb->tc_index & TAG_HELD))
		return send_to_room(skb, skb->tc_index);
	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return TC_ACT_SHOT;
	if ((skb->tc_index & ~TAG_CUT_QUEUE) != TAG_CUT) {
		count->stray++;
		return TC_ACT_SHOT;
	}
	tag = transmit(skb, count, skb->tc_index & TAG_CUT_QUEUE, false);
	if (!(tag & TAG_HELD))
		return TC_ACT_SHOT;
	skb->tc_index = tag;
	return send_to_room(skb, tag);
}

/*
 * What the room's qdisc has charged for the frame. A VLAN tag was outside the data then (every
 * frame came through an ingress, which takes it out: skb_vlan_untag), and has been put in by the
 * macvlan since.
 */
static __always_inline __u32 room_cost(struct __sk_buff *skb)
{
	__u32 tag = skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD) ?
			    VLAN_HLEN : 0;

	return skb->len - tag + repeated_headers(skb, tag) + room_frame_cost;
}

static __always_inline __u32 queue_of_exit(__u32 ifindex)
{
	__u32 index;

	if (queues == 1)
		return 0;
	for (index = 0; index < QUEUES_MAX - 1; index++)
		if (room_exits[index] == ifindex)
			break;
	return index;
}

SEC("tc")
int retry(struct __sk_buff *skb)
{
	__u32 zero = 0, index = queue_of_exit(skb->ifindex);
	struct frame frame = {};
	struct counters *count;
	struct control *ctl;
	struct queue queue;
	int refusal;

	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count || !find_queue(index, &queue))
		return TC_ACT_SHOT;
	ctl = queue.ctl;
	if (!(skb->tc_index & TAG_HELD)) { /* the poller's own, sent to set the room's qdisc going */
		__sync_fetch_and_add(&ctl->held_cost, skb->len + room_frame_cost);
		__sync_fetch_and_add(&ctl->kicks_out, 1);
		return TC_ACT_SHOT;
	}

	refusal = describe(skb, &frame);
	if (refusal < 0)
		refusal = enqueue(skb, &frame, &queue, false, TAPE_RELEASED | (__u32)skb->tc_index << 16);
	if (refusal == REFUSED_FULL) {
		/* The room lets out only what the ring has place for; rather late than lost. */
		__sync_fetch_and_add(&ctl->held_again, 1);
		return bpf_redirect(room_entries[index], 0);
	}
	if (refusal >= 0) {
		count_refused(count, refusal);
		record_event(ctl, skb, TAPE_ROOM_REFUSED | (__u32)skb->tc_index << 16, refusal);
	}
	__sync_fetch_and_add(&ctl->held_cost, room_cost(skb));
	__sync_fetch_and_add(&ctl->held_out, 1);
	return TC_ACT_SHOT;
}

/* What the poller has merged. */
SEC("tc")
int cut(struct __sk_buff *skb)
{
	if (skb->mark != MERGED_MARK)
		return TC_ACT_UNSPEC;
	skb->mark = 0;
	if (have_cut(skb))
		return TC_ACT_SHOT; /* ENOBUFS to the poller, which sends single frames then */
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
