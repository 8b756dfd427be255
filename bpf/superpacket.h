/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The length of a superpacket as a qdisc counts it: that of all its segments on the wire, each with
 * headers of its own. The same sum as in qdisc_pkt_len_init (net/core/dev.c), because the waiting
 * room's credit has to match exactly what its qdisc charged.
 */
#ifndef VNET_SUPERPACKET_H
#define VNET_SUPERPACKET_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"

#define NO_TRANSPORT_HEADER 0xffff /* skb_transport_header_was_set() */
#define TCP_DATA_OFFSET 12
#define UDP_HEADER 8

/*
 * Bytes of the MAC, network and transport headers of a superpacket, or 0 if their end has not been
 * set.
 */
static __always_inline __u32 header_bytes(struct __sk_buff *skb, unsigned int type)
{
	__u16 transport = SKB_READ(skb, transport_header);
	__u32 headers;
	__u8 offset = 0;

	if (transport == NO_TRANSPORT_HEADER)
		return 0;
	headers = transport - (__u32)(SKB_READ(skb, data) - SKB_READ(skb, head));
	if (!(type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)))
		return type & SKB_GSO_UDP_L4 ? headers + UDP_HEADER : headers;
	bpf_skb_load_bytes(skb, headers + TCP_DATA_OFFSET, &offset, sizeof(offset));
	return headers + (offset >> 4) * 4;
}

/*
 * Number of frames with `headers` and `gso_size` bytes that the payload takes (skb_segment in
 * net/core/skbuff.c).
 */
static __always_inline __u32 segments_behind(struct __sk_buff *skb, __u32 headers)
{
	return skb->len > headers ? (skb->len - headers + skb->gso_size - 1) / skb->gso_size : 1;
}

/*
 * Number of frames into which the kernel would segment the packet; 1 if it is not a superpacket. This is not gso_segs,
 * which is 0 if the source is not trusted: the sum over the pieces must equal the number for the whole, however it is
 * segmented.
 */
__attribute__((noinline)) __u32 segments_of(struct __sk_buff *skb)
{
	return skb->gso_size ? segments_behind(skb, header_bytes(skb, gso_type_of(skb))) : 1;
}

/*
 * The same for a superpacket of a kind that segments_behind() does not know, such as a tunnel's, if
 * the stack has counted its segments.
 */
static __always_inline __u32 pieces_of(struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;

	return segments ? segments : segments_of(skb);
}

/* Bytes by which the segments are longer than the superpacket. `tag`: bytes of headers that do not count. */
static __always_inline __u32 repeated_headers(struct __sk_buff *skb, __u32 tag)
{
	__u32 headers, segments = skb->gso_segs;
	unsigned int type;

	if (!skb->gso_size)
		return 0;
	type = gso_type_of(skb);
	headers = header_bytes(skb, type);
	/*
	 * From a source that is not trusted (virtio_net_hdr), so gso_segs is 0: the kernel counts
	 * the segments itself.
	 */
	if (type & SKB_GSO_DODGY)
		segments = segments_behind(skb, headers);
	return segments > 1 && headers > tag ? (segments - 1) * (headers - tag) : 0;
}

#endif
