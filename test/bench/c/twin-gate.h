/* SPDX-License-Identifier: MIT */
/*
 * The sockets of the C twin, and how it wakes the queue and releases held frames, as src/datapath/queue-gate.ts and
 * src/link/credit.ts do it without --queue-packets: docs/backpressure.md.
 */
#ifndef BENCH_TWIN_GATE_H
#define BENCH_TWIN_GATE_H

#include <linux/if_packet.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "../../../bpf/layout.h"
#include "twin-ring.h"

#define GATE_STOPPED 1U
#define RECORD_COST 104
#define ROOM_BYTES (256U << 20)
#define KICK_ETHERTYPE 0x88b5

/* RTM_NEWQDISC for the tbf at the room's entry: kind, then options with parms and burst. */
struct grant_message {
	struct nlmsghdr header;
	struct tcmsg tc;
	struct rtattr kind_attr;
	char kind[4];
	struct rtattr options;
	struct rtattr parms_attr;
	struct tc_tbf_qopt parms;
	struct rtattr burst_attr;
	uint32_t burst;
};

struct room {
	int ifindex, netlink, packet; /* ifindex 0: without a waiting room, frames are refused */
	int64_t frame_max; /* roomFrameMax() of credit.ts */
	struct grant_message message;
};

static inline struct sockaddr_ll link_address(int ifindex)
{
	return (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_ifindex = ifindex };
}

/* The socket that frames go back through: src/datapath/packet-socket.ts. */
static inline int open_socket(int ifindex)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, buffer = 8 << 20;
	struct sockaddr_ll at = link_address(ifindex);

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("AF_PACKET socket");
	return fd;
}

static inline void open_room(struct room *room, int ifindex, int64_t frame_max)
{
	struct sockaddr_ll at = link_address(ifindex);
	int buffer = 32 << 20;

	room->ifindex = ifindex;
	room->frame_max = frame_max;
	if (!ifindex)
		return;
	room->netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	room->packet = socket(AF_PACKET, SOCK_RAW, 0);
	if (room->netlink < 0 || room->packet < 0 || bind(room->packet, (struct sockaddr *)&at, sizeof(at)))
		die("waiting room");
	setsockopt(room->packet, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	room->message = (struct grant_message){
		.header = { sizeof(room->message), RTM_NEWQDISC, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
		.tc = { .tcm_ifindex = ifindex, .tcm_handle = 1 << 16, .tcm_parent = TC_H_ROOT },
		.kind_attr = { 8, TCA_KIND },
		.kind = "tbf",
		.options = { 4 + 4 + sizeof(struct tc_tbf_qopt) + 8, TCA_OPTIONS },
		.parms_attr = { 4 + sizeof(struct tc_tbf_qopt), TCA_TBF_PARMS },
		.parms = { .rate = { .linklayer = TC_LINKLAYER_ETHERNET, .overhead = RECORD_COST, .rate = 1 }, .limit = ROOM_BYTES },
		.burst_attr = { 8, TCA_TBF_BURST },
	};
}

/* Fills the bucket with `bytes`, and sends a small frame that sets the qdisc going. */
static inline bool grant(struct room *room, struct control *ctl, uint64_t bytes)
{
	uint64_t base = __atomic_load_n(&ctl->held_cost, __ATOMIC_SEQ_CST);
	struct { struct nlmsghdr header; struct nlmsgerr error; char rest[200]; } answer;
	char kick[60] = { [12] = (char)(KICK_ETHERTYPE >> 8), [13] = (char)(KICK_ETHERTYPE & 0xff) };

	if (bytes > ctl->credit)
		ctl->credit = bytes;
	room->message.burst = bytes;
	if (send(room->netlink, &room->message, sizeof(room->message), 0) < 0 ||
	    recv(room->netlink, &answer, sizeof(answer), 0) < 20 || answer.error.error)
		return false;
	send(room->packet, kick, sizeof(kick), MSG_DONTWAIT);
	ctl->credit = bytes;
	ctl->credit_base = base;
	ctl->grants++;
	return true;
}

static inline uint32_t held_now(const struct control *ctl)
{
	uint64_t gone = __atomic_load_n(&ctl->held_out, __ATOMIC_SEQ_CST) + ctl->held_dropped;

	return ((__atomic_load_n(&ctl->gate, __ATOMIC_SEQ_CST) >> 1) - (uint32_t)gone) & 0x7fffffff;
}

/* Releases held frames as far as the ring has space; returns true once none is left and the room is closed. */
static inline bool release_held(struct room *room, struct control *ctl, uint64_t ring_bytes, uint64_t used)
{
	int64_t outstanding, bytes, frame_max = room->frame_max, headroom = (frame_max + 2 * RECORD_COST) * 9 / 8;

	if (!held_now(ctl))
		return ctl->credit == (uint64_t)frame_max || grant(room, ctl, frame_max);
	outstanding = ctl->credit + RECORD_COST - (__atomic_load_n(&ctl->held_cost, __ATOMIC_SEQ_CST) - ctl->credit_base);
	bytes = ((int64_t)ring_bytes - (int64_t)used - headroom) * 8 / 9 - RECORD_COST;
	if (outstanding <= frame_max + RECORD_COST && bytes >= frame_max)
		grant(room, ctl, bytes);
	return false;
}

/* Called after each poll: wakes a stopped queue at its low watermark. */
static inline void update_gate(struct room *room, struct control *ctl, const struct ring *ring, uint64_t low_watermark)
{
	uint32_t gate = __atomic_load_n(&ctl->gate, __ATOMIC_SEQ_CST);
	uint64_t used;

	if (!(gate & GATE_STOPPED))
		return;
	used = available(ring);
	if (used > low_watermark)
		return;
	if (room->ifindex && !release_held(room, ctl, ring->size, used))
		return;
	if (__sync_bool_compare_and_swap(&ctl->gate, gate, gate & ~GATE_STOPPED))
		ctl->wakes_poller++;
}

#endif
