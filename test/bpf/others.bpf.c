// SPDX-License-Identifier: MIT
// What other people's programs do to frames on vnet0's egress; each counts the frames that it sees.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define barrier() asm volatile("" ::: "memory")

/* Where `redirects` and `mirrors` send frames. */
const volatile __u32 elsewhere = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} seen SEC(".maps");

static __always_inline void see(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&seen, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("tc")
int counts(struct __sk_buff *skb __attribute__((unused)))
{
	see();
	return TC_ACT_UNSPEC;
}

SEC("tc")
int accepts(struct __sk_buff *skb __attribute__((unused)))
{
	see();
	return TC_ACT_OK;
}

SEC("tc")
int classifies(struct __sk_buff *skb)
{
	see();
	skb->tc_classid = 0x18001; /* 1:8001 */
	return TC_ACT_OK;
}

SEC("tc")
int marks(struct __sk_buff *skb)
{
	see();
	skb->mark = 22094;
	skb->priority = 6;
	barrier(); /* the compiler makes one store of two neighbours, the verifier takes none of 8 bytes */
	skb->queue_mapping = 1;
	skb->tc_index = 0xffff;
	return TC_ACT_OK;
}

SEC("tc")
int hashes(struct __sk_buff *skb)
{
	see();
	bpf_set_hash(skb, bpf_get_prandom_u32());
	return TC_ACT_UNSPEC;
}

SEC("tc")
int unhashes(struct __sk_buff *skb)
{
	see();
	bpf_set_hash_invalid(skb);
	return TC_ACT_UNSPEC;
}

/* Edits the frame in a way that the receiver does not mind: the source's Ethernet address. */
SEC("tc")
int edits(struct __sk_buff *skb)
{
	__u8 byte = 0xee;

	see();
	bpf_skb_store_bytes(skb, 2 * ETH_ALEN - 1, &byte, sizeof(byte), BPF_F_INVALIDATE_HASH);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int tags(struct __sk_buff *skb)
{
	see();
	bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 7);
	return TC_ACT_OK;
}

SEC("tc")
int mirrors(struct __sk_buff *skb)
{
	see();
	bpf_clone_redirect(skb, elsewhere, 0);
	return TC_ACT_OK;
}

/* Both of our marks. */
SEC("tc")
int erases(struct __sk_buff *skb)
{
	see();
	bpf_set_hash_invalid(skb);
	return TC_ACT_OK;
}

SEC("tc")
int drops(struct __sk_buff *skb __attribute__((unused)))
{
	see();
	return TC_ACT_SHOT;
}

SEC("tc")
int redirects(struct __sk_buff *skb __attribute__((unused)))
{
	see();
	return bpf_redirect(elsewhere, 0);
}

char _license[] SEC("license") = "GPL";
