/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies one skb into the ring as a record: virtio_net_hdr, then the frame.
 *
 * TC egress runs before validate_xmit_skb, so frames come with partial checksums, as GSO
 * superpackets and with the VLAN tag outside the data, whatever `ethtool -k` says. The
 * virtio_net_hdr carries the first two through user space; the tag goes back into the copy.
 */
#ifndef VNET_CAPTURE_H
#define VNET_CAPTURE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "layout.h"

#define VLAN_HLEN 4
#define ADDRESSES (2 * ETH_ALEN) /* the VLAN tag follows them in a frame */
#define TAGS_MAX 8 /* tags in the data of a superpacket; the kernel looks behind 10 (VLAN_MAX_DEPTH) */

#define GSO_MAX_SIZE 65536 /* size in bytes from which the kernel cuts up a superpacket: GSO_LEGACY_MAX_SIZE */

/* Set by the controller before load. */
const volatile bool gso_udp_l4 = true; /* PACKET_VNET_HDR accepts UDP superpackets: from Linux 6.2 on */
const volatile __u32 superpacket_bytes = GSO_MAX_SIZE; /* the same for all but IPv6: gso_ipv4_max_size of vnet0 (veth.ts) */

/*
 * Kinds of superpackets that virtio_net_hdr can express; the other bits only qualify them.
 * SKB_GSO_TCP_ECN is not passed on: it says that hardware must not repeat CWR, which the kernel
 * never does (tcp_gso_segment in net/ipv4/tcp_offload.c).
 */
#define GSO_KINDS (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP_L4)
#define GSO_EXPRESSIBLE \
	(GSO_KINDS | SKB_GSO_DODGY | SKB_GSO_TCP_ECN | SKB_GSO_TCP_FIXEDID | SKB_GSO_TCP_ACCECN)

/*
 * bpf_ringbuf_reserve requires a constant size, so records come in fixed sizes. With the ring's own
 * 8-byte header each is a multiple of a cache line, and none is more than 9/8 of what the frame and
 * 104 bytes need: the credit of the waiting room relies on that (RING_BYTES_PER_BYTE in
 * src/link/credit.ts). 1592 holds a 1500-byte MTU, 9080 a 9000-byte one, 65592 the largest IP
 * packet with an Ethernet header and two VLAN tags, 262200 the largest superpacket of BIG TCP.
 */
#define RECORD_SIZES(SIZE) \
	SIZE(120) SIZE(184) SIZE(248) SIZE(312) SIZE(376) SIZE(440) SIZE(504) SIZE(568) SIZE(632) \
	SIZE(696) SIZE(760) SIZE(824) SIZE(888) SIZE(952) SIZE(1016) SIZE(1144) SIZE(1272) \
	SIZE(1400) SIZE(1592) SIZE(1784) SIZE(1976) SIZE(2232) SIZE(2488) SIZE(2808) SIZE(3128) \
	SIZE(3512) SIZE(3960) SIZE(4472) SIZE(5048) SIZE(5688) SIZE(6392) SIZE(7160) SIZE(8056) \
	SIZE(9080) SIZE(10232) SIZE(11512) SIZE(12984) SIZE(14648) SIZE(16440) SIZE(18488) \
	SIZE(20792) SIZE(23416) SIZE(26360) SIZE(29688) SIZE(33400) SIZE(37560) SIZE(42232) \
	SIZE(47480) SIZE(53432) SIZE(60088) SIZE(65592) SIZE(73784) SIZE(83000) SIZE(93368) \
	SIZE(105016) SIZE(118136) SIZE(132856) SIZE(149432) SIZE(168056) SIZE(189048) SIZE(212664) \
	SIZE(239224) SIZE(262200)

/* Keeps the compiler from reasoning across this point about a value that the verifier tracks. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* What has to be known of a frame to capture it. Found once. */
struct frame {
	struct vnet_hdr vnet;
	__u32 skb_len; /* bytes in the skb */
	__u32 len; /* bytes on the wire: skb_len and the tag */
	__u32 tag; /* 802.1Q or 802.1ad tag in network order, or 0 */
};

static __always_inline void describe_checksum(struct __sk_buff *skb, struct frame *frame)
{
	if (ip_summed_of(skb) != CHECKSUM_PARTIAL)
		return;
	frame->vnet.flags = NEEDS_CSUM;
	frame->vnet.checksum_start = SKB_READ(skb, csum_start) - (SKB_READ(skb, data) - SKB_READ(skb, head));
	frame->vnet.checksum_offset = SKB_READ(skb, csum_offset);
	if (frame->tag)
		frame->vnet.checksum_start += VLAN_HLEN;
}

/*
 * The kernel's limit for a superpacket (netif_get_gso_max_size), or 0 if no device passes it whole: what follows its
 * tags is not IP (skb_network_protocol and net_mpls_features in net/core/dev.c). The bytes say so: the peer goes by
 * them, while a packet socket writes into skb->protocol what it likes.
 */
static __always_inline __u32 superpacket_limit(struct __sk_buff *skb)
{
	__u32 tags;
	__be16 type = 0;

	for (tags = 0; tags < TAGS_MAX; tags++) {
		if (bpf_skb_load_bytes(skb, ADDRESSES + tags * VLAN_HLEN, &type, sizeof(type)))
			return 0;
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
	}
	if (type == bpf_htons(ETH_P_IPV6))
		return GSO_MAX_SIZE;
	return type == bpf_htons(ETH_P_IP) ? superpacket_bytes : 0;
}

/*
 * Describes a superpacket. False for one that virtio_net_hdr cannot describe (tunnels, ESP, SCTP), and for one that the
 * kernel segments in any case: it is larger than vnet0 may have, or the stack has not left its checksum to the device
 * (netif_needs_gso in include/linux/netdevice.h). The latter is the case for UDP if a device has no checksum offload,
 * or if the datagram has IPv6 extension headers.
 */
static __always_inline bool describe_gso(struct __sk_buff *skb, struct frame *frame)
{
	bool partial = frame->vnet.flags & NEEDS_CSUM;
	unsigned int type;

	if (!skb->gso_size)
		return true;
	type = gso_type_of(skb);
	if (type & ~GSO_EXPRESSIBLE)
		return false;
	switch (type & GSO_KINDS) {
	case SKB_GSO_TCPV4:
		frame->vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		break;
	case SKB_GSO_TCPV6:
		frame->vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
		break;
	case SKB_GSO_UDP_L4:
		if (!gso_udp_l4 || !partial)
			return false;
		frame->vnet.gso_type = GSO_UDP_L4;
		break;
	default:
		return false;
	}
	frame->vnet.gso_size = skb->gso_size;
	return frame->skb_len < superpacket_limit(skb) && (partial || ip_summed_of(skb) == CHECKSUM_UNNECESSARY);
}

/*
 * bpf_skb_load_bytes with a length that the verifiers of 5.10 and 6.1 accept: they take no lower
 * bound from `len != 0`, so the bound is on len - 1, where the compiler cannot see it.
 */
static __always_inline long load_bytes(struct __sk_buff *skb, __u32 from, void *to, __u64 len,
				       __u64 space)
{
	__u64 last = len - 1;

	barrier_var(last);
	if (last >= space)
		return -1;
	barrier_var(last);
	return bpf_skb_load_bytes(skb, from, to, last + 1);
}

/* Copies the first `len` bytes of the frame to `to`, which has `space` bytes. */
static __always_inline long copy_bytes(struct __sk_buff *skb, struct frame *frame,
				       unsigned char *to, __u32 len, __u64 space)
{
	if (!frame->tag)
		return load_bytes(skb, 0, to, len, space);
	if (bpf_skb_load_bytes(skb, 0, to, ADDRESSES))
		return -1;
	__builtin_memcpy(to + ADDRESSES, &frame->tag, VLAN_HLEN);
	return load_bytes(skb, ADDRESSES, to + ADDRESSES + VLAN_HLEN, len - ADDRESSES - VLAN_HLEN,
			  space - ADDRESSES - VLAN_HLEN);
}

/* Copies the frame after the record's header; `size` is the record's size. */
static __always_inline long copy_frame(struct __sk_buff *skb, struct frame *frame,
				       struct record *record, __u64 size)
{
	record->frame_len = frame->len;
	record->vnet = frame->vnet;
	return copy_bytes(skb, frame, record->frame, frame->len, size - sizeof(*record));
}

/*
 * Describes the frame. Returns an enum refusal, or -1 if it can be captured.
 *
 * A global function: the verifier checks it once, and knows nothing of the frame afterwards.
 * Inlined, it would be followed through all sizes of records for each of the ways in which it can
 * end.
 */
__attribute__((noinline)) int describe(struct __sk_buff *skb, struct frame *frame)
{
	if (!frame)
		return REFUSED_UNREADABLE;
	frame->skb_len = skb->len;
	frame->len = skb->len;
	if (skb->len < ETH_HLEN)
		return REFUSED_RUNT;
	if (skb->vlan_present) {
		frame->tag = bpf_htonl(bpf_ntohs(skb->vlan_proto) << 16 | skb->vlan_tci);
		frame->len += VLAN_HLEN;
	}
	describe_checksum(skb, frame);
	if (!describe_gso(skb, frame))
		return REFUSED_GSO;
	return frame->len + sizeof(struct record) > LARGEST_RECORD ? REFUSED_OVERSIZE : -1;
}

#endif
