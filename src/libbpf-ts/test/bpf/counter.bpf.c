// SPDX-License-Identifier: MIT
// Counts packets by protocol and reports each, as a program would that uses generated code.
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct totals {
	__u64 packets;
	__u64 bytes;
};

struct report {
	__u32 length;
	__u16 protocol;
	bool ipv4;
	__u8 version : 4;
	__u8 header_words : 4;
	__u8 mac[6];
};

struct limits {
	__u32 shortest;
	union {
		__u32 longest;
		__u8 bytes[4];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, struct totals);
} by_protocol SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct report);
} reports SEC(".maps");

const volatile struct limits limits = { .longest = 0xffffffff };
const volatile __u32 tgid;
__u64 packets;
__u64 calls;
__u32 last_length;

SEC("tc")
int count(struct __sk_buff *skb)
{
	struct totals one = { 1, skb->len }, *totals;
	__u16 protocol = bpf_ntohs(skb->protocol);
	struct report *report;
	__u8 first;

	if (skb->len < limits.shortest || skb->len > limits.longest)
		return -1;
	__sync_fetch_and_add(&packets, 1);
	last_length = skb->len;
	totals = bpf_map_lookup_elem(&by_protocol, &protocol);
	if (totals) {
		totals->packets++;
		totals->bytes += skb->len;
	} else {
		bpf_map_update_elem(&by_protocol, &protocol, &one, BPF_ANY);
	}
	report = bpf_ringbuf_reserve(&reports, sizeof(*report), 0);
	if (!report)
		return -1;
	report->length = skb->len;
	report->protocol = protocol;
	report->ipv4 = protocol == ETH_P_IP;
	first = 0;
	bpf_skb_load_bytes(skb, ETH_HLEN, &first, 1);
	report->version = first >> 4;
	report->header_words = first & 15;
	bpf_skb_load_bytes(skb, ETH_ALEN, report->mac, 6);
	bpf_ringbuf_submit(report, 0);
	return -1; /* TC_ACT_UNSPEC: the next program has its turn */
}

SEC("raw_tp/sys_enter")
int on_call(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == tgid)
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
