/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets and reads the mark of a frame on its way from `tx` to `sink`. Its parts are described in
 * layout.h.
 */
#ifndef VNET_MARK_H
#define VNET_MARK_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "layout.h"
#include "queue.h"

/* Offsets in a frame without IP options or extension headers. */
#define IPV4_ADDRESSES_AT (ETH_HLEN + 12)
#define IPV4_PORTS_END (IPV4_ADDRESSES_AT + 2 * 4 + 4)
#define IPV6_ADDRESSES_AT (ETH_HLEN + 8)
#define IPV6_PORTS_END (IPV6_ADDRESSES_AT + 2 * 16 + 4)
/*
 * 2^32 divided by the golden ratio: multiplying a word by it makes each of its bits reach the upper
 * bits (hash_32 in linux/hash.h).
 */
#define GOLDEN_RATIO_32 0x61c88647U

/*
 * Functions that are not inlined are verified once, by themselves, instead of along each path
 * through their callers.
 */

/*
 * Upper bits that tell flows apart: those of the hash that the stack has made (TCP has one), or of
 * addresses and ports, mixed. bpf_get_hash_recalc takes ten times as long.
 */
__attribute__((noinline)) __u32 flow_of(struct __sk_buff *skb)
{
	void *data = (void *)(unsigned long)skb->data, *end = (void *)(unsigned long)skb->data_end;
	__u32 hash = skb->hash, *words;

	if (hash)
		return hash >> MARK_VALUE_SHIFT;
	if (skb->protocol == bpf_htons(ETH_P_IP) && data + IPV4_PORTS_END <= end) {
		words = data + IPV4_ADDRESSES_AT;
		hash = (words[0] ^ words[1]) * GOLDEN_RATIO_32 + words[2];
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6) && data + IPV6_PORTS_END <= end) {
		words = data + IPV6_ADDRESSES_AT;
		hash = (words[3] ^ words[7]) * GOLDEN_RATIO_32 + words[8];
	}
	return hash * GOLDEN_RATIO_32 >> MARK_VALUE_SHIFT;
}

static __always_inline __u32 mark(__u32 kind, __u32 queue, __u32 value)
{
	return value << MARK_VALUE_SHIFT | MARK_MAGIC | kind | queue;
}

static __always_inline bool is_kind(__u32 mark, __u32 kind)
{
	return (mark & MARK_KIND) == kind;
}

/* Whether a frame has to wait, by its mark or 0. */
static __always_inline bool must_wait(__u32 mark)
{
	return mark && (is_kind(mark, MARK_HELD) || is_kind(mark, MARK_NUMBERED));
}

static __always_inline void set_mark(struct __sk_buff *skb, __u32 mark)
{
	bpf_set_hash(skb, mark);
	skb->tc_index = mark;
}

/* A mark without its value. */
static __always_inline __u32 code_of(__u32 word)
{
	return word & ((1U << MARK_VALUE_SHIFT) - 1);
}

static __always_inline bool is_mark(__u32 word)
{
	return (code_of(word) & ~(MARK_KIND | MARK_QUEUE)) == MARK_MAGIC && (word & MARK_QUEUE) < queues;
}

/* The mark of a frame, or 0 if it has none. */
__attribute__((noinline)) __u32 mark_of(struct __sk_buff *skb)
{
	__u32 hash = skb->hash, code = (MARK_MAGIC & ~0xffffU) | skb->tc_index;

	if (!is_mark(code))
		return is_mark(hash) ? hash : 0;
	if (code_of(hash) == code)
		return hash;
	/* The frame's number was in the hash and is lost. */
	return is_kind(code, MARK_NUMBERED) ? code ^ MARK_NUMBERED ^ MARK_HELD : code;
}

/*
 * Whether `tx` has seen the frame before: a filter has sent it to an ifb, which sends it on where it was (a way to shape
 * traffic). Redirected to another looping interface, a frame has a mark, too, but is new there.
 */
static __always_inline bool has_passed(struct __sk_buff *skb)
{
	__u32 hash = skb->hash;

	return is_mark(hash) && skb->tc_index == (__u16)hash && comes_from_ifb(skb);
}

/* skb->tc_index of a frame with that mark in the waiting room. */
static __always_inline __u16 room_tag(__u32 mark)
{
	return is_kind(mark, MARK_NUMBERED) ? ROOM_NUMBERED | mark >> MARK_VALUE_SHIFT : ROOM_PLAIN;
}

#endif
