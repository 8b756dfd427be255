// SPDX-License-Identifier: MIT
// One good program and one that the verifier must refuse: it uses a pointer that may be NULL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} numbers SEC(".maps");

SEC("tc")
int good(struct __sk_buff *skb)
{
	return 0;
}

SEC("tc")
int bad(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);

	return *value;
}

char _license[] SEC("license") = "GPL";
