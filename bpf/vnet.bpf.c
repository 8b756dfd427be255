/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel half of the loop, in the order a frame takes:
 *
 *   tx         on vnet0's egress: copies the frame into the ring, or marks it as one that has to wait
 *   sink       on the peer's ingress, with a veth: drops frames that are in the ring, sends those that
 *              have to wait to the room, and captures those that the kernel had to segment first
 *   release    at the room's exit: copies the frame into the ring when its turn has come
 *   resegment  on the peer's egress, on the reinject path: has the kernel segment what the poller merged
 *
 * The original goes on to the peer because veth counts a transmitted packet in veth_xmit: a frame
 * dropped on egress would leave `ip -s link` at 0.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "capture.h"
#include "layout.h"
#include "mark.h"
#include "queue.h"
#include "superpacket.h"
#include "trace.h"

/*
 * The mark of the pollers' sockets if they send on the looping interface itself (dummy); otherwise
 * 0.
 */
const volatile __u32 reinject_mark = 0;
/* ifindex of the entry and of the exit of each queue's waiting room, in the peer namespace. */
const volatile __u32 room_entries[QUEUES_MAX] = {};
const volatile __u32 room_exits[QUEUES_MAX] = {};
/*
 * The largest packet that the room passes whole, in bytes, as its qdisc counts them: roomFrameMax()
 * in credit.ts.
 */
const volatile __u32 room_frame_max = 0;
/* Credit that each frame uses besides its length, in bytes: the overhead of the room's tbf. */
const volatile __u32 room_frame_cost = 0;

/*
 * Never read. It makes the compiler describe these types, which no map holds, in the object's BTF:
 * src/layout.generated.ts is made of that.
 */
const union {
	struct record record;
	struct trace_record trace_record;
	enum shared_number number;
	enum refusal refusal;
	enum trace_kind trace_kind;
	enum batch_flag batch_flag;
} *const shared = NULL;

static __always_inline bool fits_into_room(struct __sk_buff *skb, struct frame *frame)
{
	return frame->len + repeated_headers(skb, 0) <= room_frame_max;
}

/*
 * The compiler knows what describe() can return; the verifier does not, and has to see the bound.
 */
static __always_inline void count_refused(struct counters *count, __u32 refusal)
{
	barrier_var(refusal);
	if (refusal < REFUSED_REASONS)
		count->refused[refusal]++;
}

/*
 * Makes the kernel segment a superpacket right before a device that lacks an offload for it (validate_xmit_skb). vnet0
 * and the peer lack those for IP in IP (features.ts), so here the packet becomes a tunnel's: bpf_skb_adjust_room opens
 * a tunnel with an outer header of no bytes, which leaves the packet as it is and sets SKB_GSO_IPXIP4 or 6. Its
 * segments are plain frames: only the kinds with a UDP or GRE header are segmented differently (udp4_ufo_fragment,
 * inet_gso_segment).
 */
static __always_inline long request_segments(struct __sk_buff *skb)
{
	__u64 tunnel = skb->protocol == bpf_htons(ETH_P_IP) ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 :
							      BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

	return bpf_skb_adjust_room(skb, 0, BPF_ADJ_ROOM_MAC, tunnel | BPF_F_ADJ_ROOM_FIXED_GSO);
}

/*
 * Counts a frame and captures or holds it. Returns its mark, or 0 if it is refused. `to_peer`: it
 * goes on to `sink`, and is not there yet.
 */
static __always_inline __u32 transmit(struct __sk_buff *skb, struct counters *count, __u32 index,
				      bool to_peer)
{
	__u32 flow = flow_of(skb), segments;
	struct frame frame = {};
	struct control *ctl;
	struct queue queue;
	__u64 number;
	int refusal;

	if (!find_queue(index, &queue))
		return 0;
	ctl = queue.ctl;
	refusal = describe(skb, &frame);
	if (refusal == REFUSED_GSO && to_peer) {
		count->cut_sent += pieces_of(skb);
		if (frame.skb_len >= GSO_MAX_SIZE)
			request_segments(skb); /* the user may have raised gso_max_size: then nothing else segments it */
		return mark(MARK_CUT, index, flow); /* counted in `sink`, frame by frame, as veth counts them */
	}
	segments = segments_of(skb);
	count->tx_packets++;
	count->tx_bytes += frame.len;
	if (refusal < 0)
		refusal = is_stopped(ctl) ? REFUSED_FULL : enqueue(skb, &frame, &queue, true, TRACE_CAPTURED);
	if (refusal < 0) {
		if (to_peer)
			count->originals_sent += segments;
		return mark(MARK_CAPTURED, index, flow);
	}
	if (refusal == REFUSED_FULL && hold) {
		if (fits_into_room(skb, &frame)) {
			number = hold_frame(&queue, segments);
			record_event(ctl, skb, TRACE_HELD, number);
			return ctl->recording ? mark(MARK_NUMBERED, index, number) : mark(MARK_HELD, index, flow);
		}
		refusal = REFUSED_UNHOLDABLE;
	} else if (refusal == REFUSED_FULL && !is_stopped(ctl)) {
		stop_and_look_again(&queue);
	}
	count_refused(count, refusal);
	record_event(ctl, skb, TRACE_REFUSED, refusal);
	return 0;
}

/*
 * Whether a poller sends the frame on the looping interface itself (dummy). Other programs can set
 * the mark on their sockets, too, but no two sockets have the same cookie.
 */
static __always_inline bool is_reinjected(struct __sk_buff *skb)
{
	struct control *ctl;
	__u32 index, key;
	__u64 cookie;

	if (!reinject_mark || skb->mark != reinject_mark)
		return false;
	cookie = bpf_get_socket_cookie(skb);
	for (index = 0; cookie && index < QUEUES_MAX && index < queues; index++) {
		key = index;
		ctl = bpf_map_lookup_elem(&control, &key);
		if (ctl && ctl->reinject_cookie == cookie)
			return true;
	}
	return false;
}

/* On vnet0's egress, for each frame that is transmitted: captures, holds or refuses it. */
SEC("tc")
int tx(struct __sk_buff *skb)
{
	struct counters *count;
	__u32 zero = 0, mark;

	if (is_reinjected(skb)) {
		skb->mark = 0;
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	}
	if (has_passed(skb))
		return TC_ACT_UNSPEC;
	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return TC_ACT_SHOT;
	mark = transmit(skb, count, queue_of(skb), !reinject_mark); /* only a veth has `sink` */
	if (!mark)
		return TC_ACT_SHOT; /* dev_queue_xmit returns NET_XMIT_DROP; sendto returns ENOBUFS if the socket asks for errors */
	set_mark(skb, mark);
	return TC_ACT_UNSPEC; /* programs and filters behind this one see the frame, too */
}

/*
 * Whether the frame must not wait at the expense of the socket that it is charged to:
 * - A poller's: the frame was received and has been sent on by a bridge or by mirred, which leave the charge on it. With
 *   its buffer full of held frames the poller could send no more, and nothing would leave the room. Only pollers have
 *   sockets in the peer namespace, while any socket could have a mark.
 * - One with which the kernel itself answers (inet_ctl_sock_create): for ICMP and resets of TCP it has one on each CPU
 *   for all namespaces (net/ipv4/icmp.c, net/ipv4/tcp_ipv4.c). With its buffer full the machine would not answer pings.
 */
static __always_inline bool must_not_pay(struct __sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ((struct sk_buff *)skb, sk);

	if (!sk)
		return false;
	if (BPF_CORE_READ(sk, __sk_common.skc_net.net) == BPF_CORE_READ((struct sk_buff *)skb, dev, nd_net.net))
		return true;
	return BPF_CORE_READ(sk, sk_type) == SOCK_RAW && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock);
}

/*
 * Sends the frame to the waiting room of the queue that its mark names, or a clone of it, which is charged to no
 * socket, like forwarded traffic.
 */
static __always_inline int send_to_room(struct __sk_buff *skb, __u32 mark)
{
	__u32 index = queues > 1 ? mark & MARK_QUEUE : 0;
	struct queue queue;

	if (!find_queue(index, &queue))
		return TC_ACT_SHOT;
	skb->tc_index = room_tag(mark);
	enter_room(&queue, segments_of(skb));
	if (!must_not_pay(skb))
		return bpf_redirect(room_entries[index], 0);
	bpf_clone_redirect(skb, room_entries[index], 0);
	return TC_ACT_SHOT;
}

/*
 * On the peer's ingress: does with the original what its mark says, and drops it unless it has to wait. A
 * frame without a mark has not passed `tx`.
 */
SEC("tc")
int sink(struct __sk_buff *skb)
{
	struct counters *count;
	__u32 zero = 0, mark = mark_of(skb);

	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return TC_ACT_SHOT;
	if (!mark) {
		count->stray++;
		return TC_ACT_SHOT;
	}
	if (is_kind(mark, MARK_CAPTURED)) {
		count->originals_arrived += segments_of(skb);
		return TC_ACT_SHOT;
	}
	if (is_kind(mark, MARK_CUT)) {
		count->cut_arrived += pieces_of(skb);
		mark = transmit(skb, count, mark & MARK_QUEUE, false);
	}
	return hold && must_wait(mark) ? send_to_room(skb, mark) : TC_ACT_SHOT;
}

/*
 * The credit that the room's qdisc has charged for the frame. A VLAN tag was outside the data then
 * (every frame came through an ingress, which takes it out: skb_vlan_untag); the macvlan has put it
 * into the data since.
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

/*
 * At the exit of the waiting room: copies a frame that the room's qdisc has let out into the ring, where
 * frames leave it in the order in which they came, and drops the original, which ends its charge to the
 * sender's socket. When it is let out is decided by the poller's grants of credit (queue-gate.ts). The
 * poller's kicks come here first, and are sent to the entry.
 */
SEC("tc")
int release(struct __sk_buff *skb)
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
	if (!skb->tc_index) { /* the poller's kick, sent to make the room's qdisc run */
		if (skb->mark == KICK_MARK) {
			/*
			 * It has not been in the room. Charged to the poller's socket, it would keep the socket while
			 * it waits there, the socket its namespace, and the namespace the room, for ever if a container
			 * ends. A clone is charged to nobody.
			 */
			skb->mark = 0;
			bpf_clone_redirect(skb, room_entries[index], 0);
			return TC_ACT_SHOT;
		}
		__sync_fetch_and_add(&ctl->held_cost, skb->len + room_frame_cost);
		__sync_fetch_and_add(&ctl->kicks_out, 1);
		return TC_ACT_SHOT;
	}

	refusal = describe(skb, &frame);
	if (refusal < 0)
		refusal = enqueue(skb, &frame, &queue, false, TRACE_RELEASED | (__u32)skb->tc_index << 16);
	if (refusal == REFUSED_FULL) {
		/*
		 * The room lets out only what the ring has space for; if not, requeued is better
		 * than lost.
		 */
		__sync_fetch_and_add(&ctl->held_again, 1);
		return bpf_redirect(room_entries[index], 0);
	}
	if (refusal >= 0) {
		count_refused(count, refusal);
		record_event(ctl, skb, TRACE_ROOM_REFUSED | (__u32)skb->tc_index << 16, refusal);
	}
	/*
	 * After the frame has its place in the ring: the poller reads them in the opposite order
	 * (queue-gate.ts).
	 */
	ADD_IN_ORDER(&ctl->held_cost, room_cost(skb));
	ADD_IN_ORDER(&ctl->held_out, 1);
	return TC_ACT_SHOT;
}

/* Makes the kernel segment what the poller has merged. */
SEC("tc")
int resegment(struct __sk_buff *skb)
{
	if (skb->mark != MERGED_MARK)
		return TC_ACT_UNSPEC;
	skb->mark = 0;
	if (request_segments(skb))
		return TC_ACT_SHOT; /* ENOBUFS to the poller, which sends single frames then */
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
