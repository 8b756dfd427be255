// SPDX-License-Identifier: MIT
// A map that libbpf pins at /sys/fs/bpf/libbpf_ts_pinned, or takes from there.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} libbpf_ts_pinned SEC(".maps");

SEC("tc")
int uses(struct __sk_buff *skb)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&libbpf_ts_pinned, &key) != 0;
}

char _license[] SEC("license") = "GPL";
